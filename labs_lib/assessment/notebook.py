"""The calls a lesson makes: predict and compare, check, hint, solution."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment import progress
from labs_lib.assessment.confidence import confidence_calibration
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.base import Exercise, judge
from labs_lib.assessment.held import LATER, feedback_is_held, recorded
from labs_lib.assessment.outcomes import ERROR, INCORRECT, NOT_ATTEMPTED, Outcome, is_blank
from labs_lib.assessment.predictions import (
    Comparison,
    calibration_of,
    latest_prediction,
    legal_prediction,
    number_in_words,
)
from labs_lib.assessment.show import Panel, outcome_panel, show, with_note
from labs_lib.errors import LabError, shorten

# What this session could not write to the progress file.
_unrecorded_hints: dict[str, int] = {}
_unrecorded_predictions: dict[str, Any] = {}


def check(exercise_id: str, answer: Any = None) -> None:
    """Judge the answer to an exercise and show one of four outcomes; record it unless blank.

    Raises nothing for what the answer holds or does; LabError for an unknown exercise. Where the
    attempt cannot be recorded, a line says so beside the outcome.
    """
    exercise = find_exercise(exercise_id)
    outcome, note = _judged_and_recorded(exercise, answer)
    show_outcome(exercise, outcome, note)


def judge_and_record(exercise_id: str, answer: Any) -> Outcome:
    """Judge the answer to an exercise and record the attempt if that can be; show nothing."""
    return _judged_and_recorded(find_exercise(exercise_id), answer)[0]


def _judged_and_recorded(exercise: Exercise, answer: Any) -> tuple[Outcome, str]:
    held = feedback_is_held() and not is_blank(answer)
    outcome = recorded() if held else judge(exercise, answer)
    if outcome.status == NOT_ATTEMPTED:
        return outcome, ""
    note = progress.record_answer(
        exercise.id,
        answer,
        bank=exercise_hash(exercise),
        outcome=outcome.status,
        misconception=outcome.misconception,
    )
    return outcome, note


def show_outcome(exercise: Exercise, outcome: Outcome, note: str = "") -> None:
    """Show what became of an answer to an exercise, and what can be done next."""
    message = outcome.message
    if outcome.status == NOT_ATTEMPTED:
        message = f"Fill in `{exercise.answer}`, run the cell, then run this one again."
    elif outcome.status in (INCORRECT, ERROR):
        message += f' `hint("{exercise.id}")` helps.'
    show(outcome_panel(exercise.title, outcome.status, with_note(message, note)))


def hint(exercise_id: str) -> None:
    """Show the next hint to an exercise; after the last one, start again from the first."""
    exercise = find_exercise(exercise_id)
    if not exercise.hints:
        show(Panel("Hint", "This exercise has none."))
        return
    seen, _ = _hints_seen(exercise.id)
    note = progress.try_to_record("hint", exercise.id)
    # What cannot be recorded is remembered here, so that the next hint is another one.
    if note:
        _unrecorded_hints[exercise.id] = _unrecorded_hints.get(exercise.id, 0) + 1
    number = seen % len(exercise.hints)
    text = with_note(exercise.hints[number], note)
    show(Panel(f"Hint {number + 1} of {len(exercise.hints)}", text))


def solution(exercise_id: str) -> None:
    """Show an exercise's solution, and record that it was looked at."""
    exercise = find_exercise(exercise_id)
    if feedback_is_held():
        show(Panel("Solution", f"Not now: {LATER}."))
        return
    note = progress.try_to_record("solution", exercise.id)
    show(Panel("One solution", with_note(f"```python\n{exercise.solution}```", note)))


def show_task(exercise_id: str) -> None:
    """Show what an exercise asks for, whether it is easy or hard, and about how long it takes."""
    exercise = find_exercise(exercise_id)
    effort = f"{exercise.difficulty}, about {exercise.minutes} minutes"
    show(Panel(f"{exercise.title} ({effort})", exercise.task))


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
    prediction = legal_prediction(value)
    note = progress.try_to_record("prediction", prediction_id, value=prediction)
    if note:
        _unrecorded_predictions[prediction_id] = prediction
    else:
        _unrecorded_predictions.pop(prediction_id, None)
    show(Panel("Your prediction", with_note(_shown(prediction), note)))


def compare_prediction(prediction_id: str, outcome: Any, unit: str = "") -> None:
    """Show the student's prediction beside the outcome, and record that it was seen.

    Works without a prediction. `outcome` is a number, a word or True/False.
    """
    outcome = legal_prediction(outcome)
    events, unread = progress.try_to_read()
    earlier = latest_prediction(events, prediction_id)
    if prediction_id in _unrecorded_predictions:
        earlier = (_unrecorded_predictions[prediction_id], bool(earlier and earlier[1]))
    read: dict[str, Any] = {}
    if earlier is not None:
        number = number_in_words(earlier[0], outcome, unit)
        if number is not None:
            read, earlier = {"value": number}, (number, earlier[1])
    note = progress.try_to_record("comparison", prediction_id, outcome=outcome, **read) or unread
    measured = f"Outcome: {_shown(outcome, unit)}."
    if earlier is None:
        sentence = f"You made no prediction. {measured}"
    else:
        comparison = Comparison(prediction_id, earlier[0], outcome, hindsight=earlier[1])
        sentence = f"You predicted {_shown(earlier[0], unit)}. {measured} {_verdict(comparison)}"
        if comparison.hindsight:
            sentence += " (Made after the outcome was shown, so it is not counted.)"
    show(Panel("Prediction and outcome", with_note(sentence, note)))


def calibration() -> None:
    """Show how well the student's predictions and stated confidence have done so far."""
    events, note = progress.try_to_read()
    text = f"{calibration_of(events).text} {confidence_calibration(events).text}".rstrip()
    show(Panel("Your calibration", with_note(text, note)))


def exercise_hash(exercise: Exercise) -> str:
    """Return the fingerprint of an exercise's text, recorded with each answer."""
    return progress.source_hash(exercise.id, exercise.task, exercise.starter)


def _hints_seen(item_id: str) -> tuple[int, str]:
    events, note = progress.try_to_read()
    seen = sum(event["event"] == "hint" and event["id"] == item_id for event in events)
    return seen + _unrecorded_hints.get(item_id, 0), note


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
