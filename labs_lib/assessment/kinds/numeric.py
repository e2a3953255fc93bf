"""A number, with a tolerance and a unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from labs_lib.assessment.interactions import Quantity, WrongNumber
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome
from labs_lib.assessment.questions import Question, remembered
from labs_lib.assessment.records import Number, Record, Slug, Text
from labs_lib.assessment.units import (
    UNITS,
    AmbiguousNumberError,
    NumberError,
    byte_confusion,
    is_fraction_of_percent,
    parse_quantity,
)

_COUNTED = ("parameters", "bits", "tokens", "steps")
"""Units that are plural words; of 1 there is one."""
_FRACTION = "That is the right share as a fraction; in percent it is 100 times as much."


class Tolerance(Record):
    """How far off a numeric answer may be: the larger of the two allowances counts."""

    relative: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    absolute: Annotated[Number, Field(ge=0)] = 0.0

    def width(self, answer: float) -> float:
        """Return the allowance around `answer`, in the answer's unit."""
        return max(self.relative * abs(answer), self.absolute, 1e-9 * abs(answer))


class NumberMistake(Record):
    """A wrong number that is expected."""

    value: Number
    feedback: Text
    misconception: Slug | None = None


class QuantityQuestion(Question):
    """A question whose answer is a number, within a tolerance, in a unit if there is one."""

    unit: Text | None = None
    tolerance: Tolerance = Tolerance()

    example: ClassVar[str] = '"12.5"'

    @model_validator(mode="after")
    def _known_unit(self) -> QuantityQuestion:
        if self.unit is not None and self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(UNITS)}")
        return self

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer, with the unit."""
        return f"Type a number in {self.unit}." if self.unit else "Type a number."


class NumericQuestion(QuantityQuestion):
    """A number, within a tolerance, in a unit if there is one."""

    kind: Literal["numeric"]
    answer: Number
    mistakes: Annotated[tuple[NumberMistake, ...], Field(max_length=50)] = ()

    def __hash__(self) -> int:
        """Hash the answer too: of a drawn question there are many with one id."""
        return hash((self.id, self.answer))

    @property
    def interaction(self) -> Quantity:
        """Return the number with the tolerance around it and around each mistake."""
        width = self.tolerance.width
        mistakes = tuple(
            WrongNumber(mistake.value, width(mistake.value), mistake.feedback)
            for mistake in self.mistakes
        )
        return Quantity(self.answer, width(self.answer), self.unit, mistakes)

    @property
    def solution(self) -> float:
        """Return the number, in the question's unit."""
        return self.answer

    def judge(self, answer: Any) -> Outcome:
        """Judge a number of any library, or a text that holds one, with a unit or without."""
        width, correct, mistakes = _expected(self)
        try:
            number = parse_quantity(answer, self.unit)
        except AmbiguousNumberError as error:
            # Nobody is marked wrong for a comma: 14,000 is taken if it is right, and else asked.
            if error.likely and abs(error.readings[0] - self.answer) <= width:
                return correct
            return Outcome(ERROR, f"{_capital(str(error))}.")
        except NumberError as error:
            return Outcome(ERROR, f"{_capital(str(error))}.")
        if abs(number - self.answer) <= width:
            return correct
        for value, allowance, outcome in mistakes:
            if abs(number - value) <= allowance:
                return outcome
        confusion = byte_confusion(number, self.answer, width, self.unit)
        if confusion:
            return Outcome(INCORRECT, confusion, "gb-gib")
        if is_fraction_of_percent(number, self.answer, width, self.unit):
            return Outcome(INCORRECT, _FRACTION, "fraction-for-percent")
        direction = "small" if number < self.answer else "large"
        amount = _amount(number, self.unit)
        return Outcome(INCORRECT, f"{amount} is too {direction}.", f"too-{direction}")

    def problems(self) -> Iterator[str]:
        """Yield mistakes that the tolerance lets pass."""
        width = self.tolerance.width(self.answer)
        for mistake in self.mistakes:
            if abs(mistake.value - self.answer) <= width:
                yield f"the mistake {mistake.value:g} counts as right"


class _Expected(NamedTuple):
    """The allowance around the answer, its outcome, and (value, allowance, outcome) of mistakes."""

    width: float
    correct: Outcome
    mistakes: tuple[tuple[float, float, Outcome], ...]


@remembered
def _expected(question: NumericQuestion) -> _Expected:
    width = question.tolerance.width
    mistakes = tuple(
        (
            mistake.value,
            width(mistake.value),
            Outcome(INCORRECT, mistake.feedback, mistake.misconception or f"{mistake.value:g}"),
        )
        for mistake in question.mistakes
    )
    return _Expected(width(question.answer), Outcome(CORRECT, question.explanation), mistakes)


def _amount(number: float, unit: str | None) -> str:
    """Return a number for people, with its unit: `18,874,368 parameters`, `1 step`, `0.148 %`."""
    whole = number.is_integer() and abs(number) < 1e15
    text = f"{number:,.0f}" if whole else f"{number:,g}"
    if number == 1 and unit in _COUNTED:
        return f"{text} {unit.removesuffix('s')}"
    return f"{text} {unit}" if unit else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
