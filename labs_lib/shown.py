"""A value in one short line, whatever it is: a repr that cannot raise, hang or flood."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import re
import sys
import types
from collections.abc import Iterable
from typing import Any

LONGEST_NAME = 60
DEEPEST = 4
MOST_LOOKED_AT = 500
# Whose `__repr__` is called; anybody else's may do anything, for any length of time.
_TRUSTED = frozenset(sys.stdlib_module_names - {"__main__", "this", "antigravity"}) | {
    "accelerate", "bitsandbytes", "datasets", "huggingface_hub", "labs_lib", "matplotlib", "numpy",
    "peft", "pydantic", "pydantic_core", "safetensors", "sympy", "tokenizers", "torch",
    "transformers", "trl", "yaml",
}  # fmt: skip
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("frozenset({", "})"),
}  # fmt: skip


def type_name(value: object) -> str:
    """Return the name of a value's type, in one line of at most 60 characters, never empty."""
    # As the interpreter keeps it: a metaclass may have a `__name__` of its own.
    name = type.__dict__["__name__"].__get__(type(value))
    name = "".join(letter if letter.isprintable() else "�" for letter in name[:LONGEST_NAME])
    return name.strip() or "nameless object"


def shown(value: object, limit: int) -> str:
    """Return `repr(value)` as far as about `limit` characters need it; never raises.

    Objects of classes that are neither the libraries' nor Python's are shown by their class's
    name, dataclasses by their fields; their own `__repr__` is not run.
    """
    try:
        return _shown(value, limit, 0)
    except Exception:  # a library's repr failed
        return f"<{type_name(value)}>"


def _shown(value: Any, limit: int, depth: int) -> str:
    kind = type(value)
    if depth > DEEPEST:
        return "…"
    if issubclass(kind, (str, bytes, bytearray)) and _own_repr(kind):
        return repr(value[: 10 * limit])
    if kind is int:
        bits = value.bit_length()
        return repr(value) if bits < 4000 else f"<int of {bits:,} bits>"
    if kind in _BRACKETS:
        return _items(value, limit, depth)
    if issubclass(kind, dict) and kind.__repr__ is dict.__repr__:
        return _pairs(dict.items(value), limit, depth)
    if dataclasses.is_dataclass(kind) and not _is_trusted(kind):
        fields = (
            (field.name, object.__getattribute__(value, field.name))
            for field in dataclasses.fields(kind)
            if field.repr
        )
        inside = _joined(
            (f"{name}={_shown(part, limit, depth + 1)}" for name, part in fields), limit
        )
        return f"{type_name(value)}({inside})"
    if kind.__repr__ is object.__repr__ or not _is_trusted(kind) or _holds_strangers(value):
        return f"<{type_name(value)} object>"
    text = _ADDRESS.sub("", repr(value))
    return " ".join(text.split()) if "\n" in text else text


def _items(value: Any, limit: int, depth: int) -> str:
    opening, closing = _BRACKETS[type(value)]
    if not value:
        return repr(value)
    inside = _joined((_shown(part, limit, depth + 1) for part in value), limit)
    comma = "," if type(value) is tuple and len(value) == 1 else ""
    return f"{opening}{inside}{comma}{closing}"


def _pairs(pairs: Iterable[tuple[Any, Any]], limit: int, depth: int) -> str:
    texts = (f"{_shown(a, limit, depth + 1)}: {_shown(b, limit, depth + 1)}" for a, b in pairs)
    return "{" + _joined(texts, limit) + "}"


def _joined(texts: Iterable[str], limit: int) -> str:
    """Join as many texts as there is room for."""
    found: list[str] = []
    length = 0
    for text in itertools.islice(texts, limit + 1):
        found.append(text)
        length += len(text) + 2
        if length > limit + 2:
            break
    return ", ".join(found)


def _holds_strangers(value: Any) -> bool:
    """Return whether a container, a deque or an array of objects, holds what may not be shown."""
    root = type(value).__module__.partition(".")[0]
    if root == "numpy":
        return value.dtype.kind in "OV"
    if root not in sys.stdlib_module_names:
        return False
    waiting, seen = [(value, 0)], 0
    while waiting and seen < MOST_LOOKED_AT:
        held, depth = waiting.pop()
        seen += 1
        if type(held).__repr__ is not object.__repr__ and not _is_trusted(type(held)):
            return True
        if isinstance(held, (type, types.FunctionType, types.ModuleType)):
            continue  # their reprs show nothing of what they hold
        if depth < DEEPEST:
            waiting += [(each, depth + 1) for each in gc.get_referents(held)[:MOST_LOOKED_AT]]
    return False


def _own_repr(kind: type) -> bool:
    return kind.__repr__ in (str.__repr__, bytes.__repr__, bytearray.__repr__)


def _is_trusted(kind: type) -> bool:
    """Return whether the class's `__repr__` is Python's own or that of a library we know."""
    called = kind.__repr__
    home = getattr(called, "__globals__", None)
    if home is None:  # written in C
        return True
    if dataclasses.is_dataclass(kind):
        return kind.__module__.partition(".")[0] in _TRUSTED
    return str(home.get("__name__")).partition(".")[0] in _TRUSTED
