"""What a lesson's id is: two digits, and an x behind them where the lesson is optional."""

from __future__ import annotations

import re

LESSON_PATTERN = r"[0-9]{2}x?"
"""A lesson's id as a regular expression: "02" is lesson 02, "02x" an optional one after it."""
# What follows the id: "." in the id of a question or exercise, "_" in the name of a file or folder.
_START = re.compile(rf"({LESSON_PATTERN})(?=[._]|$)")


def lesson_id(name: str) -> str:
    """Return the lesson that a name belongs to; "" where it belongs to none.

    `name` is a lesson's id ("02x"), the id of one of its questions or exercises ("02x.energy"), or
    the name of its source, notebook or folder ("02x_why_low_rank").
    """
    found = _START.match(name)
    return found[1] if found else ""


def is_optional(lesson: str) -> bool:
    """Return whether a lesson is optional; `lesson` is its id."""
    return lesson.endswith("x")
