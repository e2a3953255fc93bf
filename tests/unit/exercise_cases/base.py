"""Small exercises with a check of the test's own."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck
from labs_lib.assessment.exercises.code import CodeText


def exercise(check: Any, **more: Any) -> Exercise:
    """Return an exercise with this check, which asks for a function f."""
    code = CodeText("def f(x):\n    ...\n", "def f(x):\n    return x\n")
    more = {"hints": ("Think.",), "check": check, "code": code, **more}
    return Exercise("00.test", "Test", "test", "Do it.", "f", **more)


def returning(wanted: Any, **more: Any) -> Exercise:
    """Return an exercise whose every case wants this value."""
    cases = [(number,) for number in range(3)]
    return exercise(FunctionCheck(lambda _: cases, lambda _: wanted, seconds=5.0, **more))
