"""Answers to exercises, and what the course should say to them: `cases.py` of a lesson."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from labs_lib.assessment.lessons import lesson_folders, lesson_module

# (exercise id, answer, expected status, part of the message)
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
        importlib.import_module("torch")
        return answer

    return Built(make)


def all_cases() -> list[Case]:
    """Return the cases of every lesson's exercises (`CASES` of its `cases.py`), in order."""
    return [
        case
        for folder in lesson_folders().values()
        if (folder / "cases.py").is_file()
        for case in lesson_module(folder, "cases").CASES
    ]
