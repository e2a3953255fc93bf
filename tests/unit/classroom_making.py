"""A class to test on: a release of two lessons, hand-ins that are right, and where they lie."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutant_archives import handed
from benchmarks.mutant_class import released
from benchmarks.mutants import Course
from labs_lib.classroom.walls.ways import Way, find_way
from labs_lib.errors import LabError


@contextmanager
def a_class(folder: Path) -> Generator[tuple[Course, Path]]:
    """Release lessons 00 and 02 and a private question; yield the course, and what is kept of it.

    Until the block ends, the instructor's home is in the folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(folder / "home"))
        yield released(folder)


def put(folder: Path, name: str, content: Any) -> Path:
    """Write a hand-in's zip, and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else handed(content))
    return path


def walls() -> Way:
    """Return bubblewrap; the test is skipped, and says why, where it is not to be had."""
    try:
        return find_way("bubblewrap")
    except LabError as error:
        pytest.skip(str(error))
