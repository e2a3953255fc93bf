"""What a grader's test cell calls: it says nothing of a right answer, and raises for any other."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment.banks import find_question
from labs_lib.assessment.exercises import all_exercises, find_exercise
from labs_lib.assessment.exercises.base import judge
from labs_lib.assessment.outcomes import ERROR, Outcome


def assert_correct(item_id: str, answer: Any, seed: int = 0) -> None:
    """Raise AssertionError, with what the student is told, unless the answer is right.

    `item_id` is an exercise's or a question's; `seed` draws a question's numbers. Nothing is
    recorded. LabError for an unknown id.
    """
    outcome = _judged(item_id, answer, seed)
    if not outcome.is_correct:
        raise AssertionError(f"{item_id}: {outcome.status}. {outcome.message}")


def assert_readable(item_id: str, answer: Any, seed: int = 0) -> None:
    """Raise AssertionError where an answer has no form that can be judged; a blank may stay one.

    It does not tell whether the answer is right.
    """
    outcome = _judged(item_id, answer, seed)
    if outcome.status == ERROR:
        raise AssertionError(f"{item_id}: {outcome.status}. {outcome.message}")


def _judged(item_id: str, answer: Any, seed: int) -> Outcome:
    if any(exercise.id == item_id for exercise in all_exercises()):
        return judge(find_exercise(item_id), answer)
    _, question = find_question(item_id)
    return question.grade(answer, seed)
