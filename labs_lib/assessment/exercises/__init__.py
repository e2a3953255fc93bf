"""What an exercise is and how answers are judged; the exercises stand in the lessons' folders."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from labs_lib.assessment.exercises.base import Exercise
from labs_lib.assessment.exercises.code import CodeFolder
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.lessons import EXERCISES, lesson_folders, lesson_module
from labs_lib.errors import LabError, nearest, shorten


def exercises_of(lesson: str) -> tuple[Exercise, ...]:
    """Return a lesson's exercises (`EXERCISES` of its module), in order; none if it has none."""
    folder = lesson_folders().get(lesson)
    return _exercises_in(folder) if folder is not None else ()


def exercises_by_lesson() -> dict[str, tuple[Exercise, ...]]:
    """Return lesson → exercises, for every lesson that has some, in order."""
    return {lesson: _exercises_in(folder) for lesson, folder in lesson_folders().items()}


def all_exercises() -> tuple[Exercise, ...]:
    """Return the exercises of every lesson."""
    return tuple(itertools.chain.from_iterable(exercises_by_lesson().values()))


def find_exercise(exercise_id: object) -> Exercise:
    """Return the exercise with this id; LabError names the nearest one otherwise."""
    if isinstance(exercise_id, str):
        for exercise in exercises_of(lesson_id(exercise_id)):
            if exercise.id == exercise_id:
                return exercise
    ids = [exercise.id for exercise in all_exercises()]
    raise LabError(f"exercise: no {shorten(exercise_id)}{nearest(str(exercise_id), ids)}")


@lru_cache(maxsize=64)
def _exercises_in(folder: Path) -> tuple[Exercise, ...]:
    exercises: list[Exercise] = lesson_module(folder, EXERCISES).EXERCISES
    return tuple(
        replace(exercise, code=CodeFolder(folder / "code" / exercise.name))
        for exercise in exercises
    )
