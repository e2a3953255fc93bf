"""What a check finds, and the two ways in which the course is put right."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from labs_lib import paths


@dataclass(frozen=True)
class Finding:
    """What one check found.

    `state` is "ok", "missing" (the course needs it) or "optional" (it does not); `mend` is the
    command, or the step, that puts it right.
    """

    state: str
    found: str
    mend: str = ""


def set_up_again() -> str:
    """Return the command that installs everything: the launcher, or pip where there is none."""
    course = paths.checkout()
    if course is not None and (course / "course.py").is_file():
        return f"{'python' if os.name == 'nt' else 'python3'} course.py setup"
    return "in the course's folder: python -m pip install --force-reinstall --no-deps ."


def bring_back(folder: str) -> str:
    """Return how a folder that the course brings is put back as it was."""
    course = paths.checkout()
    if course is None:
        return set_up_again()
    if (course / ".git").exists():
        return f"in the course's folder: git checkout -- {folder}"
    return f"download the course again and copy its folder {folder} to {course}"


def in_course_venv() -> bool:
    """Return whether this Python is the one that the launcher set up."""
    course = paths.checkout()
    return course is not None and Path(sys.prefix).resolve() == (course / ".venv").resolve()
