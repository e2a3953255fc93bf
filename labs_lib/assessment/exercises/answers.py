"""What can be told about an answer without running any code of its own."""

from __future__ import annotations

import dis
import functools
import importlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, cast

SOURCE_FILE = "<your answer>"

# Whose imports may run ahead of the answer's own time.
_LIBRARIES = {
    "bitsandbytes", "datasets", "labs_lib", "math", "numpy", "peft", "safetensors", "scipy",
    "statistics", "torch", "transformers", "trl",
}  # fmt: skip


def is_text(answer: Any) -> bool:
    """Return whether an answer is text; goes by its real type, as an object may lie about it."""
    return issubclass(type(answer), str)


def function_code(answer: Any) -> types.CodeType | None:
    """Return the code of a function, a method, a decorated or partial one, or a callable object."""
    for _ in range(10):
        kind = cast("type[Any]", type(answer))
        if kind is types.FunctionType:
            inner = answer.__dict__.get("__wrapped__")
            if inner is None:
                return answer.__code__
            answer = inner
        elif kind is types.MethodType:
            answer = answer.__func__
        elif kind is functools.partial:
            answer = answer.func
        else:
            call = _in_class(kind, "__call__")
            return call.__code__ if type(call) is types.FunctionType else None
    return None


def student_files(answer: Any) -> tuple[str, ...]:
    """Return the file names of an answer's code: a function's, or an object's class's."""
    if is_text(answer):
        return (SOURCE_FILE,)
    code = function_code(answer)
    if code is not None:
        return (code.co_filename,)
    # A class of the notebook's own; a library's lines would tell the student nothing.
    kind = cast("type[Any]", type(answer))
    if type.__dict__["__module__"].__get__(kind) != "__main__":
        return ()
    own = _own_names(kind).values()
    codes = [entry.__code__ for entry in own if type(entry) is types.FunctionType]
    return tuple({code.co_filename for code in codes})


def _in_class(kind: type, name: str) -> Any:
    for each in type.__dict__["__mro__"].__get__(kind):
        if name in _own_names(each):
            return _own_names(each)[name]
    return None


def _own_names(kind: type) -> Any:
    # Asks the type itself: a metaclass may have a __dict__ or a __getattribute__ of its own.
    return type.__dict__["__dict__"].__get__(kind)


def returns_a_value(answer: Any) -> bool:
    """Return whether a function has any `return` with something behind it."""
    if is_text(answer):
        return re.search(r"\breturn[ \t(]+(?!None\b)[^\s#]", str.__str__(answer)) is not None
    code = function_code(answer)
    if code is None:
        return True
    before: dis.Instruction | None = None
    for step in dis.get_instructions(code):
        constant = step if step.opname == "RETURN_CONST" else before
        if step.opname in ("RETURN_VALUE", "RETURN_CONST") and constant is not None:
            loads = constant.opname in ("LOAD_CONST", "RETURN_CONST")
            if not loads or constant.argval is not None:
                return True
        before = step
    return False


def is_starter(answer: Any, name: str, starter: str) -> bool:
    """Return whether a function still does what the starter does, or nothing at all."""
    if is_text(answer):
        return _lines(str.__str__(answer)) == _lines(starter)
    if type(answer) is not types.FunctionType:
        return False
    blank = _compiled("def f():\n    pass\n", "f")
    return any(
        known is not None and _alike(answer.__code__, known)
        for known in (_compiled(starter, name), blank)
    )


def import_ahead(*functions: Any) -> None:
    """Import the libraries that functions, and ours that they call, name in their code."""
    for module in libraries_of(*functions):
        if module not in sys.modules:
            try:
                importlib.import_module(module)
            except ImportError:
                continue


def libraries_of(*functions: Any) -> list[str]:
    """Return the names of the libraries that functions, and ours that they call, import."""
    named = {name for each in functions for name in _imports(each)}
    return sorted(name for name in named if name.split(".")[0] in _LIBRARIES)


def _imports(function: Any) -> Iterator[str]:
    """Yield the modules named in a function's code and in our own functions that it refers to."""
    if function is None:
        return
    code = _compiled(function, "") if is_text(function) else function_code(function)
    ahead: list[tuple[Any, Any]] = [(code, getattr(function, "__globals__", {}))]
    seen: set[types.CodeType] = set()
    while ahead and len(seen) < 200:
        code, names = ahead.pop()
        if code is None or code in seen:
            continue
        seen.add(code)
        yield from (s.argval for s in dis.get_instructions(code) if s.opname == "IMPORT_NAME")
        ahead += [(part, names) for part in code.co_consts if type(part) is types.CodeType]
        for name in code.co_names:
            other = names.get(name)
            if type(other) is types.FunctionType and str(other.__module__).startswith("labs_lib."):
                ahead.append((other.__code__, other.__globals__))


def _compiled(source: str, name: str) -> Any:
    """Return the code of a function in a source; of the whole source without a name."""
    try:
        module = compile(source, "<starter>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not name:
        return module
    named = (part for part in module.co_consts if getattr(part, "co_name", None) == name)
    return next(named, None)


def _alike(one: Any, other: Any) -> bool:
    if one.co_names != other.co_names or _steps(one) != _steps(other):
        return False
    ours, theirs = _constants(one), _constants(other)
    return len(ours) == len(theirs) and all(
        _alike(a, b) if hasattr(a, "co_code") and hasattr(b, "co_code") else a == b
        for a, b in zip(ours, theirs, strict=True)
    )


def _steps(code: Any) -> list[tuple[str, Any]]:
    """Return the instructions, constants apart: a docstring shifts their numbers."""
    steps = dis.get_instructions(code)
    return [(s.opname, None if s.opcode in dis.hasconst else s.arg) for s in steps]


def _constants(code: Any) -> list[Any]:
    """Return what the code loads, without its docstring, names of code or blanks."""
    kept = [part for part in code.co_consts if part is not None and part is not ...]
    doc = code.co_consts[0] if code.co_consts else None
    if isinstance(doc, str) and kept and kept[0] is doc:
        kept = kept[1:]
    return [part for part in kept if not (isinstance(part, str) and "<locals>" in part)]


def _lines(source: str) -> list[str]:
    stripped = (line.split("#")[0].rstrip() for line in source.splitlines())
    return [line for line in stripped if line]
