"""How many bytes a call leaves behind, in whatever objects: tensors, arrays, lists, buffers."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Keep what exists from being searched for garbage: seconds, in a notebook full of modules."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def kept_bytes(call: Callable[[], Any]) -> tuple[Any, int]:
    """Return a call's result and the bytes it left alive, without the result's own values.

    Counts the storages that torch's operations create and everything that Python's allocator
    hands out (NumPy's arrays, bytes, lists, caches). Run the call once before, so that what is
    loaded and cached for good is not counted.
    """
    import torch

    from labs_lib.training.engine.measure import LiveBytes

    gc.collect()
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        with LiveBytes() as counter:
            result = call()
            gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before + counter.live_bytes
    finally:
        if started:
            tracemalloc.stop()
    # Not its storage: that may hold more than the values one sees.
    own = result.numel() * result.element_size() if isinstance(result, torch.Tensor) else 0
    return result, max(0, kept - own)


def growth_bytes(calls: list[Callable[[], Any]]) -> int:
    """Return by how much the process grows with each call, all results kept; 0 where unknown.

    A coarse measure, on Linux alone, for what no allocator tells of: shared memory and maps.
    The first call is not counted.
    """
    results = [calls[0]()]
    gc.collect()
    before = _resident_bytes()
    results += [call() for call in calls[1:]]
    after = _resident_bytes()
    if before is None or after is None:
        return 0
    return max(0, after - before) // max(1, len(calls) - 1)


def _resident_bytes() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    # What was freed counts as resident until the allocator gives it back.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, ValueError, IndexError):
        return None
