"""Silence for libraries' remarks about fake tensors, in the thread that asks for it alone."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

_HUSHED = ("transformers", "bitsandbytes", "peft")
# torch logs what no fake tensor can do before it raises it, as an error.
_RAISED_ANYWAY = "torch._subclasses"
_here = threading.local()


def _is_quiet() -> bool:
    return getattr(_here, "depth", 0) > 0


class _WhereQuiet:
    """Stands for a pattern in a warnings filter: matches in a quiet thread, whatever is said."""

    def match(self, text: str) -> bool:
        """Return whether this thread is quiet."""
        return _is_quiet()


class _RemarksWhereQuiet(logging.Filter):
    """Drops what the libraries log below an error, in a quiet thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be shown."""
        remark = record.name.partition(".")[0] in _HUSHED and record.levelno < logging.ERROR
        return not (_is_quiet() and (remark or record.name.startswith(_RAISED_ANYWAY)))


_WARNINGS: Any = ("ignore", _WhereQuiet(), Warning, None, 0)
_REMARKS = _RemarksWhereQuiet()


def _handlers() -> Iterator[logging.Handler]:
    """Yield all that may write the libraries' records: torch gives many loggers one of its own."""
    if logging.lastResort:
        yield logging.lastResort
    yield from logging.root.handlers
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in ("torch", *_HUSHED) and isinstance(logger, logging.Logger):
            yield from logger.handlers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' remarks about fake tensors and CPUs out of a student's notebook.

    `warnings.catch_warnings` and a logger's level belong to all threads at once: two that leave
    in another order than they came would exchange what they found. So nothing is put back here:
    the filters stay, and let everything pass but in a thread that is inside the block.
    """
    if _WARNINGS not in warnings.filters:
        warnings.filters.insert(0, _WARNINGS)  # type: ignore[attr-defined]
    for handler in _handlers():
        handler.addFilter(_REMARKS)
    _here.depth = getattr(_here, "depth", 0) + 1
    try:
        yield
    finally:
        _here.depth -= 1
