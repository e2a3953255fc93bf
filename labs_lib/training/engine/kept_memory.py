"""The C library told to keep the memory that is freed, while every weight is trained on a CPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# malloc.h: what `mallopt` sets.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_NEVER, _NONE = -1, 0
# What glibc begins with; the thresholds as it raises them by itself for a program of large blocks.
_USUAL = {
    _MMAP_MAX: 65_536,
    _MMAP_THRESHOLD: 32 * 2**20,
    _TRIM_THRESHOLD: 64 * 2**20,
    _TOP_PAD: 128 * 2**10,
}
_KEEPING = {_MMAP_MAX: _NONE, _TRIM_THRESHOLD: _NEVER, _TOP_PAD: 64 * 2**20}


@contextmanager
def memory_kept(wanted: bool = True) -> Iterator[bool]:
    """Keep freed memory for the next allocation inside the block; yields whether that is done.

    Otherwise glibc hands each large gradient back to the system, and the next step's costs a page
    fault for every 4 KiB of it. Afterwards all of it is handed back. Elsewhere than on Linux with
    glibc nothing is done.
    """
    libc = _glibc() if wanted else None
    if libc is None:
        yield False
        return
    _set(libc, _KEEPING)
    try:
        yield True
    finally:
        _set(libc, _USUAL)
        libc.malloc_trim(0)


def _glibc() -> Any:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    there = all(hasattr(libc, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"))
    return libc if there else None


def _set(libc: Any, settings: dict[int, int]) -> None:
    for name, value in settings.items():
        libc.mallopt(name, value)
