"""Question banks, exercises, outcomes and progress; no widgets."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.assessment.banks import Bank, find_question, load_bank, load_banks
    from labs_lib.assessment.exercises import all_exercises, find_exercise
    from labs_lib.assessment.grading import grade, right_answer
    from labs_lib.assessment.notebook import (
        calibration,
        check,
        compare_prediction,
        hint,
        material,
        predict,
        show_task,
        solution,
    )
    from labs_lib.assessment.progress import standing, student_seed
    from labs_lib.assessment.questions import Outcome, Question, Response
    from labs_lib.assessment.solved import solved_source

_HOMES = {
    "banks": ("Bank", "find_question", "load_bank", "load_banks"),
    "exercises": ("all_exercises", "find_exercise"),
    "grading": ("grade", "right_answer"),
    "notebook": (
        "calibration",
        "check",
        "compare_prediction",
        "hint",
        "material",
        "predict",
        "show_task",
        "solution",
    ),
    "progress": ("standing", "student_seed"),
    "questions": ("Outcome", "Question", "Response"),
    "solved": ("solved_source",),
}

__all__ = [
    "Bank",
    "Outcome",
    "Question",
    "Response",
    "all_exercises",
    "calibration",
    "check",
    "compare_prediction",
    "find_exercise",
    "find_question",
    "grade",
    "hint",
    "load_bank",
    "load_banks",
    "material",
    "predict",
    "right_answer",
    "show_task",
    "solution",
    "solved_source",
    "standing",
    "student_seed",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
