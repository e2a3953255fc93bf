"""A function, judged as the exercise that the question names is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from labs_lib.assessment.exercises import all_exercises, find_exercise
from labs_lib.assessment.exercises.base import judge
from labs_lib.assessment.interactions import Program
from labs_lib.assessment.outcomes import Outcome
from labs_lib.assessment.questions import Question
from labs_lib.assessment.records import Identifier
from labs_lib.errors import nearest


class CodeQuestion(Question):
    """A function, checked by the properties of the exercise that it names.

    It runs in a process of its own, under the limits of every exercise.
    """

    kind: Literal["code"]
    exercise: Identifier

    example: ClassVar[str] = '"def …"'

    @property
    def exercise_id(self) -> str:
        """Return the id of the exercise."""
        return self.exercise

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Write the function."

    @property
    def interaction(self) -> Program:
        """Return the exercise that is to be solved."""
        return Program(self.exercise)

    @property
    def solution(self) -> str:
        """Return the exercise's solution, as source text."""
        return find_exercise(self.exercise).solution

    def judge(self, answer: Any) -> Outcome:
        """Judge a function's source."""
        return judge(find_exercise(self.exercise), answer)

    def problems(self) -> Iterator[str]:
        """Yield an exercise that no lesson has."""
        exercises = {exercise.id for exercise in all_exercises()}
        if self.exercise not in exercises:
            yield f"exercise: no {self.exercise!r}{nearest(self.exercise, exercises)}"
