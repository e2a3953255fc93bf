"""The machine: what it computes on, its memory and its disk."""

from __future__ import annotations

import os
import shutil
from importlib import metadata

from labs_lib.health.findings import Finding

GB = 10**9
MEMORY_BYTES = 4 * GB
LESSON_00_BYTES = 2 * 2**30
DISK_BYTES = 1 * GB


def device() -> Finding:
    """Import torch and say what it computes on, with how many threads, and why so many."""
    from labs_lib.allotment import why_so_many
    from labs_lib.hardware import detect

    hardware = detect()
    detail = f"{hardware.device} ({hardware.device_name}), {hardware.precision}"
    many = f"{hardware.threads} thread{'s' * (hardware.threads != 1)}"
    return Finding(
        "ok",
        f"{detail}, {many} ({why_so_many(hardware.threads)}), torch {metadata.version('torch')}",
    )


def four_bit_kernel() -> Finding:
    """Say which code multiplies by 4-bit weights here: bitsandbytes' own, or an optional one."""
    from bitsandbytes.backends.cpu import ops

    version = f"bitsandbytes {metadata.version('bitsandbytes')}"
    if getattr(ops, "gemm_4bit_forward_kernel", None) is not None:
        return Finding("ok", f"from the kernels package ({version})")
    return Finding("ok", f"built in ({version})")


def memory() -> Finding:
    """Check the memory that this process may use: the machine's, or a smaller limit."""
    import psutil

    from labs_lib.hardware import memory_limit

    state, limit = psutil.virtual_memory(), memory_limit()
    if limit.amount < state.total:
        detail = f"{limit.amount / GB:.1f} GB of {state.total / GB:.1f} GB ({limit.setting})"
    else:
        detail = f"{state.available / GB:.1f} GB free of {state.total / GB:.1f} GB"
    if limit.amount < LESSON_00_BYTES:
        return Finding("missing", detail, "2 GiB do for lesson 00, 4 GB for the course")
    if limit.amount < MEMORY_BYTES:
        return Finding("optional", detail, "lesson 00 fits; all lessons need 4 GB")
    return Finding("ok", detail)


def disk() -> Finding:
    """Check that the course's folders can be written and have room."""
    from labs_lib.models.bundled import bundled_folder
    from labs_lib.paths import cache_dir, data_dir

    folders = [cache_dir(), data_dir()]
    if bundled_folder().is_dir():  # a shared cache may be read-only
        folders.remove(cache_dir())
    for folder in folders:
        place = folder
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK):
            detail = f"{folder} cannot be written"
            return Finding("missing", detail, "set LABS_HOME to a folder that you may write")
        free = shutil.disk_usage(place).free
        if free < DISK_BYTES:
            detail = f"{free / GB:.1f} GB free for {folder}"
            return Finding("missing", detail, "make room, or set LABS_HOME to another disk")
    return Finding("ok", f"{free / GB:.1f} GB free for {folder}")
