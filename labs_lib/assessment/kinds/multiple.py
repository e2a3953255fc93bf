"""A choice of several options."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from labs_lib.assessment.interactions import Choice
from labs_lib.assessment.kinds.options import ChoiceQuestion
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome


class MultipleChoice(ChoiceQuestion):
    """All right options, and no other, must be chosen."""

    kind: Literal["multiple"]

    example: ClassVar[str] = '"a,b"'

    @model_validator(mode="after")
    def _some_right(self) -> MultipleChoice:
        if not 0 < len(self.right_letters) < len(self.options):
            raise ValueError("at least one option must be correct, and at least one wrong")
        return self

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Choose every one that is right."

    @property
    def interaction(self) -> Choice:
        """Return the choice of several options."""
        return Choice(self.offers, several=True)

    @property
    def solution(self) -> str:
        """Return the letters of the right options, in order."""
        return ",".join(sorted(self.right_letters))

    def judge(self, answer: Any) -> Outcome:
        """Judge letters or options' texts, however they are written."""
        letters = self.letters_in(answer)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        right, chosen = self.right_letters, frozenset(letters)
        if chosen == right:
            return Outcome(CORRECT, self.explanation)
        if wrong := chosen - right:
            first = min(wrong)
            return self.lettered_options[first].as_mistake(first)
        missed = self.lettered_options[min(right - chosen)]
        reason = f" {missed.feedback}" if missed.feedback else ""
        count = len(right) - len(chosen)
        return Outcome(INCORRECT, f"Right so far, but {count} more should be chosen.{reason}")
