"""The calls a lesson makes: predict and compare, check, hint, solution."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment import progress
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.base import Exercise, judge
from labs_lib.assessment.grading import is_blank
from labs_lib.assessment.predictions import (
    Comparison,
    calibration_of,
    latest_prediction,
    legal_prediction,
)
from labs_lib.assessment.questions import ERROR, INCORRECT, NOT_ATTEMPTED, Outcome
from labs_lib.assessment.show import Panel, outcome_panel, show
from labs_lib.errors import LabError, shorten


def check(exercise_id: str, answer: Any = None) -> None:
    """Judge the answer to an exercise and show one of four outcomes; record it unless blank.

    Raises nothing for what the answer holds or does; LabError for an unknown exercise.
    """
    show_outcome(find_exercise(exercise_id), judge_and_record(exercise_id, answer))


def judge_and_record(exercise_id: str, answer: Any) -> Outcome:
    """Judge the answer to an exercise and record the attempt; show nothing."""
    exercise = find_exercise(exercise_id)
    outcome = judge(exercise, answer)
    if outcome.status != NOT_ATTEMPTED:
        progress.record(
            "answer",
            exercise.id,
            bank=exercise_hash(exercise),
            response=_said(answer),
            outcome=outcome.status,
            misconception=outcome.misconception,
            hints=_hints_seen(exercise.id),
        )
    return outcome


def show_outcome(exercise: Exercise, outcome: Outcome) -> None:
    """Show what became of an answer to an exercise, and what can be done next."""
    message = outcome.message
    if outcome.status == NOT_ATTEMPTED:
        message = f"Fill in `{exercise.answer}`, run the cell, then run this one again."
    elif outcome.status in (INCORRECT, ERROR):
        message += f' `hint("{exercise.id}")` helps.'
    show(outcome_panel(exercise.title, outcome.status, message))


def hint(exercise_id: str) -> None:
    """Show the next hint to an exercise; after the last one, start again from the first."""
    exercise = find_exercise(exercise_id)
    if not exercise.hints:
        show(Panel("Hint", "This exercise has none."))
        return
    number = _hints_seen(exercise.id) % len(exercise.hints)
    progress.record("hint", exercise.id)
    show(Panel(f"Hint {number + 1} of {len(exercise.hints)}", exercise.hints[number]))


def solution(exercise_id: str) -> None:
    """Show an exercise's solution, and record that it was looked at."""
    exercise = find_exercise(exercise_id)
    progress.record("solution", exercise.id)
    show(Panel("One solution", f"```python\n{exercise.solution}```"))


def show_task(exercise_id: str) -> None:
    """Show what an exercise asks for."""
    exercise = find_exercise(exercise_id)
    show(Panel(exercise.title, exercise.task))


def material(exercise_id: str) -> Any:
    """Return what an exercise works on (a model, say), made anew."""
    exercise = find_exercise(exercise_id)
    if exercise.material is None:
        raise LabError(f"exercise {exercise_id}: it has no material")
    return exercise.material()


def predict(prediction_id: str, value: Any = ...) -> None:
    """Commit to a prediction: a number, a (low, high) range, a word or True/False.

    `...` or None says that there is none yet. Raises LabError for anything else.
    """
    if is_blank(value):
        show(Panel("No prediction yet", "replace `...` by yours and run the cell again."))
        return
    kept = legal_prediction(value)
    progress.record("prediction", prediction_id, value=kept)
    show(Panel("Your prediction", _shown(kept)))


def compare_prediction(prediction_id: str, outcome: Any, unit: str = "") -> None:
    """Show the student's prediction beside the outcome, and record that it was seen.

    Works without a prediction. `outcome` is a number, a word or True/False.
    """
    outcome = legal_prediction(outcome)
    events, _ = progress.read_events()
    found = latest_prediction(events, prediction_id)
    progress.record("comparison", prediction_id, outcome=outcome)
    measured = f"Outcome: {_shown(outcome, unit)}."
    if found is None:
        show(Panel("Prediction and outcome", f"You made no prediction. {measured}"))
        return
    comparison = Comparison(prediction_id, found[0], outcome, hindsight=found[1])
    said = f"You predicted {_shown(found[0], unit)}. {measured} {_verdict(comparison)}"
    if comparison.hindsight:
        said += " (Made after the outcome was shown, so it is not counted.)"
    show(Panel("Prediction and outcome", said))


def calibration() -> None:
    """Show how well the student's predictions have done so far."""
    events, _ = progress.read_events()
    show(Panel("Your calibration", calibration_of(events).text))


def exercise_hash(exercise: Exercise) -> str:
    """Return the fingerprint of an exercise's text, recorded with each answer."""
    return progress.source_hash(exercise.id, exercise.task, exercise.starter)


def _hints_seen(item_id: str) -> int:
    events, _ = progress.read_events()
    return sum(event["event"] == "hint" and event["id"] == item_id for event in events)


def _verdict(comparison: Comparison) -> str:
    if comparison.kind == "range":
        return "Your range held it." if comparison.held else "It fell outside your range."
    if comparison.kind == "choice":
        return "You were right." if comparison.held else "You were not right."
    if comparison.ratio is None:
        return f"You were off by {_shown(abs(comparison.prediction - comparison.outcome))}."
    if comparison.held:
        return "Within 10 %."
    ratio = comparison.ratio
    direction = "high" if ratio > 1 else "low"
    return f"You were too {direction} by a factor of {max(ratio, 1 / ratio):.3g}."


def _shown(value: Any, unit: str = "") -> str:
    if isinstance(value, (list, tuple)):
        return f"{_shown(value[0])} to {_shown(value[1], unit)}"
    if isinstance(value, float):
        text = f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.4g}"
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        return shorten(str(value)) if len(str(value)) > 60 else str(value)
    return f"{text} {unit}" if unit else text


def _said(answer: Any) -> Any:
    """Return what is kept of an answer: a plain value, or a function's name."""
    if isinstance(answer, (bool, int, float, str, list, tuple)):
        return answer
    return getattr(answer, "__name__", type(answer).__name__)
