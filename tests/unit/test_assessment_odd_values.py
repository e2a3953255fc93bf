"""Every exercise gives an outcome for every odd value, as it is and as a function's result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from exercise_cases.odd_values import ODD_VALUES, RETURNED

from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, judge
from labs_lib.assessment.outcomes import ERROR, INCORRECT, NOT_ATTEMPTED

EXERCISES = {exercise.id: exercise for exercise in all_exercises()}
FUNCTIONS = {
    name: exercise
    for name, exercise in EXERCISES.items()
    if isinstance(exercise.check, FunctionCheck)
}
OWN_SECONDS = 0.5  # after so much time of its own an answer is stopped, a student's after 5 s
SECONDS = 60.0  # on the clock, however busy the machine is


class Returns:
    """A function that returns an odd value whatever it is given."""

    def __init__(self, make: Any):
        self.make = make

    def __call__(self, *_arguments: Any) -> Any:
        return self.make()


def faults(exercise: Exercise, makers: Iterable[tuple[str, Callable[[], Any]]]) -> list[str]:
    """Return what is wrong with the outcomes of an exercise's answers, a line each."""
    import peft  # noqa: F401  (seconds that are not the checks')

    check: Any = exercise.check
    short = dataclasses.replace(check, seconds=OWN_SECONDS)
    impatient = dataclasses.replace(exercise, check=short)
    wrong = []
    for name, make in makers:
        value = make()
        start = time.perf_counter()
        try:
            outcome = judge(impatient, value)
        except BaseException as error:  # whatever reaches the kernel is what is looked for
            wrong.append(f"{name}: {type(error).__name__}")
            continue
        if outcome.status not in (INCORRECT, ERROR, NOT_ATTEMPTED):
            wrong.append(f"{name}: {outcome.status}")
        if len(outcome.message) > 1000 or "\n" in outcome.message:
            wrong.append(f"{name}: {len(outcome.message)} characters, {outcome.message[:80]!r}")
        if time.perf_counter() - start > SECONDS:
            wrong.append(f"{name}: {time.perf_counter() - start:.1f} s")
    return wrong


@pytest.mark.seconds
@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_an_odd_value_gets_an_outcome(exercise):
    assert faults(exercise, ODD_VALUES) == []


@pytest.mark.slow
@pytest.mark.parametrize("exercise", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_that_returns_an_odd_value_gets_an_outcome(exercise):
    makers = dict(ODD_VALUES)
    assert faults(exercise, [(name, lambda n=name: Returns(makers[n])) for name in RETURNED]) == []
