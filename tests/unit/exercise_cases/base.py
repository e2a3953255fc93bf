"""What a case is: (exercise id, answer, expected status, part of the message); small exercises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck

Case = tuple[str, Any, str, str]


class Built(NamedTuple):
    """An answer that is made when its case runs, since making it loads torch."""

    make: Callable[[], Any]


build = Built


def answered(answer: Any) -> Any:
    """Return what the student hands to `check`."""
    return answer.make() if isinstance(answer, Built) else answer


def torch_loaded(answer: Any) -> Built:
    """Return an answer whose case loads torch first: seconds that are not the answer's."""

    def make() -> Any:
        import torch  # noqa: F401

        return answer

    return Built(make)


def exercise(check: Any, **more: Any) -> Exercise:
    """Return an exercise with this check, which asks for a function f."""
    texts = {"starter": "def f(x):\n    ...\n", "solution": "def f(x):\n    return x\n", **more}
    return Exercise(
        "00.test", "Test", "test", "Do it.", "f", hints=("Think.",), check=check, **texts
    )


def returning(wanted: Any, **more: Any) -> Exercise:
    """Return an exercise whose every case wants this value."""
    cases = [(number,) for number in range(3)]
    return exercise(FunctionCheck(lambda _: cases, lambda _: wanted, seconds=5.0, **more))
