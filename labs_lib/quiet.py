"""Silence for what libraries say that a student cannot act on, in the thread that asks for it.

`warnings.catch_warnings` and a logger's level belong to all threads at once: two that leave in
another order than they came would exchange what they saw.  So the filters made here stay for good
and let everything pass, except in a thread that is inside a block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

# Whether the bars are on, what turns them on, what turns them off.
Switches: TypeAlias = tuple[Callable[[], bool], Callable[[], None], Callable[[], None]]

# Libraries that announce what is normal here: no hub, a CPU, fake tensors, a chat model's settings.
CHATTY = (
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "huggingface_hub",
)
# torch logs what no fake tensor can do before it raises it, as an error.
_RAISED_ANYWAY = "torch._subclasses"


class _Blocks(threading.local):
    """The blocks that this thread is inside: the beginnings each silences, () for everything."""

    def __init__(self) -> None:
        self.beginnings: list[tuple[str, ...]] = []


_here = _Blocks()
_placing = threading.Lock()


class _WhereQuiet:
    """Takes a pattern's place in a warnings filter: matches what this thread does not want said."""

    def match(self, text: str) -> bool:
        """Return whether a block of this thread silences the text."""
        return any(not b or text.startswith(b) for b in _here.beginnings)


class _RemarksWhereQuiet(logging.Filter):
    """Drops what the libraries log below an error, in a quiet thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be shown."""
        if () not in _here.beginnings:
            return True
        remark = record.name.partition(".")[0] in CHATTY and record.levelno < logging.ERROR
        return not (remark or record.name.startswith(_RAISED_ANYWAY))


_WARNINGS: Any = ("ignore", _WhereQuiet(), Warning, None, 0)
_REMARKS = _RemarksWhereQuiet()


def _handlers() -> Iterator[logging.Handler]:
    """Yield all that may write the libraries' records: torch gives many loggers one of its own."""
    if logging.lastResort:
        yield logging.lastResort
    yield from logging.root.handlers
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in ("torch", *CHATTY) and isinstance(logger, logging.Logger):
            yield from logger.handlers


def _put_first() -> None:
    """Make the filter the first that is asked: a later one that shows everything hides it.

    Another thread that leaves `warnings.catch_warnings` meanwhile brings back the list without it,
    and what this thread is warned of until its next block is shown.
    """
    filters: Any = warnings.filters
    with _placing:
        if filters and filters[0] is _WARNINGS:
            return
        with contextlib.suppress(ValueError):  # it is not there, or another thread took it away
            filters.remove(_WARNINGS)
        filters.insert(0, _WARNINGS)


@contextlib.contextmanager
def quiet(*beginnings: str) -> Iterator[None]:
    """Keep the libraries' warnings and their log records below an error away, in this thread.

    With `beginnings`, only warnings that begin so are silenced.  A library that is first imported
    inside the block brings a handler that the block does not know: import it before.
    """
    _put_first()
    for handler in _handlers():
        handler.addFilter(_REMARKS)
    _here.beginnings.append(beginnings)
    try:
        yield
    finally:
        _here.beginnings.remove(beginnings)  # blocks may end in another order than they began


class _Bars:
    """A library's progress bars: off while anyone is inside, then as they were."""

    def __init__(self, switches: Callable[[], Switches]) -> None:
        self.switches = switches
        self.lock = threading.Lock()
        self.inside = 0
        self.were_on = True

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Turn them off for the first that comes, and back for the last that leaves."""
        are_on, turn_on, turn_off = self.switches()
        with self.lock:
            if not self.inside:
                self.were_on = are_on()
                turn_off()
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if not self.inside and self.were_on:
                    turn_on()


def _of_transformers() -> Switches:
    from transformers.utils import logging as bars

    return bars.is_progress_bar_enabled, bars.enable_progress_bar, bars.disable_progress_bar


def _of_datasets() -> Switches:
    from datasets import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    return (lambda: not are_progress_bars_disabled()), enable_progress_bars, disable_progress_bars


def _of_gguf() -> Switches:
    """Return switches of the bar in transformers' GGUF reader, which its own switch leaves on."""
    import functools

    from tqdm.auto import tqdm
    from transformers import modeling_gguf_pytorch_utils

    reader: Any = modeling_gguf_pytorch_utils
    without = functools.partial(tqdm, disable=True)

    def put(bar: Any) -> None:
        reader.tqdm = bar

    return (lambda: reader.tqdm is tqdm), (lambda: put(tqdm)), (lambda: put(without))


_LOADING_BARS = _Bars(_of_transformers)
_GGUF_BARS = _Bars(_of_gguf)
_DATA_BARS = _Bars(_of_datasets)


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence a model's loading: transformers' bars and notices below errors; imports no data."""
    with _LOADING_BARS.off(), _GGUF_BARS.off(), quiet():
        yield


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars and notices below errors inside the block, for the time of a run."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _DATA_BARS.off(), quiet_loading():
        yield
