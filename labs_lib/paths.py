"""Where the course keeps what it makes on this machine; `LABS_HOME` moves all of it."""

from __future__ import annotations

import os
from pathlib import Path

from labs_lib.errors import LabError


def cache_dir() -> Path:
    """Return the folder of what can be made again: converted models, traces."""
    return _folder("cache")


def data_dir() -> Path:
    """Return the folder of what cannot: the student's progress."""
    return _folder("data")


def runs_dir() -> Path:
    """Return the folder of training runs that were given no folder of their own."""
    return data_dir() / "runs"


def _folder(kind: str) -> Path:
    home = os.environ.get("LABS_HOME")
    if home:
        try:
            return Path(home).expanduser() / kind
        except RuntimeError:
            raise LabError(f"LABS_HOME: {home!r} names nobody's home folder") from None
    import platformdirs

    base = (
        platformdirs.user_cache_path("lora-lab", appauthor=False)
        if kind == "cache"
        else platformdirs.user_data_path("lora-lab", appauthor=False)
    )
    return base
