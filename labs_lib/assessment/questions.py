"""What a question, a response and an outcome are: frozen records, no behaviour but their own."""

from __future__ import annotations

import hashlib
import random
import re
from functools import cached_property
from typing import Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from labs_lib.assessment.formula import Formula
from labs_lib.assessment.outcomes import CORRECT as CORRECT
from labs_lib.assessment.outcomes import ERROR as ERROR
from labs_lib.assessment.outcomes import INCORRECT as INCORRECT
from labs_lib.assessment.outcomes import NOT_ATTEMPTED as NOT_ATTEMPTED
from labs_lib.assessment.outcomes import Outcome as Outcome
from labs_lib.assessment.outcomes import Response as Response
from labs_lib.assessment.outcomes import Status as Status
from labs_lib.assessment.units import UNITS

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Identifier = Annotated[str, StringConstraints(pattern=r"^\d\d(\.[a-z0-9][a-z0-9-]*)+$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST_OPTIONS = 10
MOST_DRAWS_KEPT = 1000


class Record(BaseModel):
    """A frozen part of a bank; a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tolerance(Record):
    """How far off a numeric answer may be: the larger of the two allowances counts."""

    relative: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    absolute: Annotated[Number, Field(ge=0)] = 0.0

    def width(self, answer: float) -> float:
        """Return the allowance around `answer`, in the answer's unit."""
        return max(self.relative * abs(answer), self.absolute, 1e-9 * abs(answer))


class Option(Record):
    """One option of a choice; a wrong one says which misconception it comes from."""

    text: Text
    correct: Flag = False
    feedback: Text | None = None
    misconception: Slug | None = None

    @model_validator(mode="after")
    def _wrong_options_explain(self) -> Option:
        if not self.correct and self.feedback is None:
            raise ValueError("a wrong option needs feedback that names its misconception")
        return self


class Item(Record):
    """One item of an ordering; `feedback` is shown when it is the first out of place."""

    text: Text
    feedback: Text


class TextMistake(Record):
    """A wrong short answer that is expected, in all its forms."""

    match: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    feedback: Text
    misconception: Slug | None = None


class NumberMistake(Record):
    """A wrong number that is expected."""

    value: Number
    feedback: Text
    misconception: Slug | None = None


class FormulaMistake(Record):
    """A wrong formula that is expected, in the names of the question's numbers."""

    formula: Text
    feedback: Text
    misconception: Slug | None = None


class Range(Record):
    """The values that one number of a parameterised question may take.

    Either `choices`, or every `step`-th whole number from `low` to `high`, both included.
    """

    choices: Annotated[tuple[Number, ...], Field(min_length=2, max_length=1000)] | None = None
    low: Whole | None = None
    high: Whole | None = None
    step: Annotated[Whole, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _one_way(self) -> Range:
        span = (self.low, self.high)
        if self.choices is not None:
            if span != (None, None):
                raise ValueError("give either choices, or low and high")
        elif self.low is None or self.high is None:
            raise ValueError("give either choices, or low and high")
        elif self.low >= self.high:
            raise ValueError("low must be below high")
        elif (self.high - self.low) // self.step > 1_000_000:
            raise ValueError("more than a million values")
        return self

    @cached_property
    def values(self) -> tuple[float, ...]:
        """Return every value, in order; whole ones as int."""
        if self.choices is not None:
            return tuple(int(value) if value == int(value) else value for value in self.choices)
        assert self.low is not None and self.high is not None
        return tuple(range(self.low, self.high + 1, self.step))


class _Common(Record):
    id: Identifier
    objective: Slug
    difficulty: Annotated[Whole, Field(ge=1, le=3)]
    prompt: Text
    hint: Text
    explanation: Text
    source: Text

    @property
    def lesson(self) -> str:
        """Return the two digits of the lesson that the question belongs to."""
        return self.id[:2]


class _Choice(_Common):
    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=MOST_OPTIONS)]

    @model_validator(mode="after")
    def _options_differ(self) -> _Choice:
        texts = [option.text.casefold() for option in self.options]
        if len(set(texts)) < len(texts):
            raise ValueError("two options have the same text")
        return self

    @cached_property
    def right_letters(self) -> frozenset[str]:
        """Return the letters of the correct options."""
        return frozenset(
            letter for letter, option in zip(LETTERS, self.options, strict=False) if option.correct
        )


class SingleChoice(_Choice):
    """Exactly one option is right."""

    kind: Literal["single"]

    @model_validator(mode="after")
    def _one_right(self) -> SingleChoice:
        if len(self.right_letters) != 1:
            raise ValueError(f"exactly one option must be correct, not {len(self.right_letters)}")
        return self


class MultipleChoice(_Choice):
    """All right options, and no other, must be chosen."""

    kind: Literal["multiple"]

    @model_validator(mode="after")
    def _some_right(self) -> MultipleChoice:
        if not 0 < len(self.right_letters) < len(self.options):
            raise ValueError("at least one option must be correct, and at least one wrong")
        return self


class _Numeric(_Common):
    unit: Text | None = None
    tolerance: Tolerance = Tolerance()

    @model_validator(mode="after")
    def _known_unit(self) -> _Numeric:
        if self.unit is not None and self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(UNITS)}")
        return self


class NumericQuestion(_Numeric):
    """A number, within a tolerance, in a unit if there is one."""

    kind: Literal["numeric"]
    answer: Number
    mistakes: Annotated[tuple[NumberMistake, ...], Field(max_length=50)] = ()


class ParameterisedQuestion(_Numeric):
    """A numeric question whose numbers are drawn from the student's seed.

    `prompt`, `hint` and `explanation` name them as `{rank}` or `{rank:,}`; `formula` is an
    expression of them, evaluated by an expression library and never by Python.
    """

    kind: Literal["parameterised"]
    numbers: Annotated[dict[str, Range], Field(min_length=1, max_length=8)]
    formula: Text
    mistakes: Annotated[tuple[FormulaMistake, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> ParameterisedQuestion:
        for name in self.numbers:
            if not name.isidentifier():
                raise ValueError(f"number {name!r} is not a name; use letters, digits and _")
        for formula in (self.formula, *(mistake.formula for mistake in self.mistakes)):
            unknown = Formula(formula).names - set(self.numbers)
            if unknown:
                raise ValueError(
                    f"formula {formula!r} uses {', '.join(sorted(unknown))}; "
                    f"the numbers are {', '.join(self.numbers)}"
                )
        return self

    def draw(self, seed: int) -> NumericQuestion:
        """Return the numeric question that a student with this seed is asked.

        The same seed always gives the same numbers, on every machine.
        """
        drawn = self._drawn.get(seed)
        if drawn is None:
            # random.Random seeded with a string is specified to be the same everywhere.
            generator = random.Random(f"{seed}:{self.id}")
            names = sorted(self.numbers)
            numbers = {name: generator.choice(self.numbers[name].values) for name in names}
            drawn = self.with_numbers(numbers)
            if len(self._drawn) < MOST_DRAWS_KEPT:
                self._drawn[seed] = drawn
        return drawn

    @cached_property
    def _drawn(self) -> dict[int, NumericQuestion]:
        return {}

    def with_numbers(self, numbers: dict[str, float]) -> NumericQuestion:
        """Return the question with the given numbers filled in.

        A mistake that happens to give the right answer for these numbers is left out.
        """
        answer = Formula(self.formula).value(numbers)
        width = self.tolerance.width(answer)
        mistakes = []
        for mistake in self.mistakes:
            value = Formula(mistake.formula).value(numbers)
            if abs(value - answer) > width:
                filled = _fill(mistake.feedback, numbers)
                mistakes.append(
                    NumberMistake(value=value, feedback=filled, misconception=mistake.misconception)
                )
        return NumericQuestion(
            kind="numeric",
            id=self.id,
            objective=self.objective,
            difficulty=self.difficulty,
            prompt=_fill(self.prompt, numbers),
            hint=_fill(self.hint, numbers),
            explanation=_fill(self.explanation, numbers),
            source=self.source,
            unit=self.unit,
            tolerance=self.tolerance,
            answer=answer,
            mistakes=tuple(mistakes),
        )


class OrderingQuestion(_Common):
    """Items to be put in order; the bank lists them in the right one."""

    kind: Literal["ordering"]
    items: Annotated[tuple[Item, ...], Field(min_length=3, max_length=MOST_OPTIONS)]

    @model_validator(mode="after")
    def _items_differ(self) -> OrderingQuestion:
        texts = [item.text.casefold() for item in self.items]
        if len(set(texts)) < len(texts):
            raise ValueError("two items have the same text")
        return self

    @cached_property
    def shown(self) -> tuple[int, ...]:
        """Return the order of display, as indices into `items`: shuffled, the same every time."""

        def mixed(index: int) -> str:
            text = f"{self.id}\n{self.items[index].text}"
            return hashlib.sha256(text.encode()).hexdigest()

        order = sorted(range(len(self.items)), key=mixed)
        if order == sorted(order):
            order.reverse()
        return tuple(order)

    @cached_property
    def right_letters(self) -> tuple[str, ...]:
        """Return the letters of display in the right order."""
        letter_of = {item: LETTERS[place] for place, item in enumerate(self.shown)}
        return tuple(letter_of[item] for item in range(len(self.items)))


class TextQuestion(_Common):
    """A word or a name; spacing, width of letters and (by default) case do not count."""

    kind: Literal["text"]
    accept: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    case_sensitive: Flag = False
    mistakes: Annotated[tuple[TextMistake, ...], Field(max_length=50)] = ()


class CodeQuestion(_Common):
    """A function, checked by the properties of the exercise that it names."""

    kind: Literal["code"]
    exercise: Identifier


Question = Union[  # noqa: UP007 (a name for isinstance and for documentation)
    SingleChoice,
    MultipleChoice,
    NumericQuestion,
    ParameterisedQuestion,
    OrderingQuestion,
    TextQuestion,
    CodeQuestion,
]

KINDS: dict[str, type[_Common]] = {
    "single": SingleChoice,
    "multiple": MultipleChoice,
    "numeric": NumericQuestion,
    "parameterised": ParameterisedQuestion,
    "ordering": OrderingQuestion,
    "text": TextQuestion,
    "code": CodeQuestion,
}

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)(:,)?\}")


def placeholders(text: str) -> set[str]:
    """Return the names that stand in braces in a prompt."""
    return {match[1] for match in _PLACEHOLDER.finditer(text)}


def _fill(text: str, numbers: dict[str, float]) -> str:
    def number(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            return match[0]
        value = numbers[match[1]]
        return f"{value:,}" if match[2] else str(value)

    return _PLACEHOLDER.sub(number, text)
