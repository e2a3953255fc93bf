"""Where libraries work on a stranger's configuration: what they raise, in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from types import TracebackType
from typing import Any

from labs_lib.errors import LabError, last_line

# Errors whose text alone does not say what went wrong.
_NAMED = (KeyError, AttributeError, TypeError, ImportError, IndexError)
_LONGEST = 300


@contextlib.contextmanager
def in_one_line(doing: str, model: Any = None) -> Generator[None, None, None]:
    """Turn what a library raises inside the block into one `LabError` line.

    The line says what was being done, in which part of `model` if that is known, and what the
    library says last.
    """
    try:
        yield
    except (LabError, MemoryError):
        raise
    except Exception as error:
        # A class of any library, built from a file of anyone's: what it raises has no bounds.
        part = _part_of(model, error.__traceback__) if model is not None else ""
        where = f" in {part}" if part else ""
        raise LabError(f"{doing}{where}: {_words(error)}") from error


def _words(error: Exception) -> str:
    said = last_line(error)
    if _needs_values(error):
        operation = said.removesuffix(".default")
        return f"{operation} depends on values, and a trace has shapes alone"
    if type(error) in _NAMED:
        said = f"{type(error).__name__}: {said}"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _needs_values(error: Exception) -> bool:
    """Return whether fake tensors raised this: an operation's result depends on values."""
    fake: Any = sys.modules.get("torch._subclasses.fake_tensor")  # where it runs, it is loaded
    if fake is None:
        return False
    return isinstance(error, (fake.DynamicOutputShapeException, fake.DataDependentOutputException))


def _part_of(model: Any, traceback: TracebackType | None) -> str:
    """Return the name of the innermost of the model's modules that was running."""
    names = {id(module): name for name, module in model.named_modules()}
    found = ""
    while traceback is not None:
        running = traceback.tb_frame.f_locals.get("self")
        found = names.get(id(running), "") or found
        traceback = traceback.tb_next
    return found
