"""The exercises, one module a lesson: task, starter, checks, hints, solution, misconceptions."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache

from labs_lib.assessment.exercises.base import Exercise
from labs_lib.errors import LabError, nearest, shorten

LESSONS = tuple(f"{number:02d}" for number in range(8))


@lru_cache(maxsize=32)
def exercises_of(lesson: str) -> tuple[Exercise, ...]:
    """Return a lesson's exercises (`EXERCISES` of its module), in order; none if it has none."""
    name = f"{__name__}.lesson_{lesson}"
    if lesson not in LESSONS or importlib.util.find_spec(name) is None:
        return ()
    return tuple(importlib.import_module(name).EXERCISES)


def all_exercises() -> tuple[Exercise, ...]:
    """Return the exercises of every lesson."""
    return tuple(exercise for lesson in LESSONS for exercise in exercises_of(lesson))


def find_exercise(exercise_id: str) -> Exercise:
    """Return the exercise with this id; LabError names the nearest one otherwise."""
    if isinstance(exercise_id, str):
        for exercise in exercises_of(exercise_id[:2]):
            if exercise.id == exercise_id:
                return exercise
    ids = [exercise.id for exercise in all_exercises()]
    raise LabError(f"exercise: no {shorten(exercise_id)}{nearest(str(exercise_id), ids)}")
