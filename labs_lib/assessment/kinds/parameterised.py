"""A number to be worked out from numbers that are drawn for each student."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from labs_lib.assessment.formula import Formula
from labs_lib.assessment.interactions import Quantity
from labs_lib.assessment.kinds.numeric import NumberMistake, NumericQuestion, QuantityQuestion
from labs_lib.assessment.kinds.ranges import Range, combinations, drawn_numbers
from labs_lib.assessment.outcomes import Outcome
from labs_lib.assessment.questions import remembered
from labs_lib.assessment.records import Record, Slug, Text

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)(:,)?\}")


class FormulaMistake(Record):
    """A wrong formula that is expected, in the names of the question's numbers."""

    formula: Text
    feedback: Text
    misconception: Slug | None = None


class ParameterisedQuestion(QuantityQuestion):
    """A numeric question whose numbers are drawn from the student's seed.

    `prompt`, `hint` and `explanation` name them as `{rank}` or `{rank:,}`; `formula` is an
    expression of them, evaluated by an expression library and never by Python.
    """

    kind: Literal["parameterised"]
    numbers: Annotated[dict[str, Range], Field(min_length=1, max_length=8)]
    formula: Text
    mistakes: Annotated[tuple[FormulaMistake, ...], Field(max_length=50)] = ()

    depends_on_seed: ClassVar[bool] = True

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
        return _drawn(self, seed)

    def with_numbers(self, numbers: dict[str, float]) -> NumericQuestion:
        """Return the question with the given numbers filled in.

        A mistake that happens to give the right answer for these numbers is left out.
        """
        answer = Formula(self.formula).value(numbers)
        width = self.tolerance.width(answer)
        mistakes: list[NumberMistake] = []
        for mistake in self.mistakes:
            value = Formula(mistake.formula).value(numbers)
            if abs(value - answer) > width:
                feedback = filled(mistake.feedback, numbers)
                mistakes.append(
                    NumberMistake(
                        value=value, feedback=feedback, misconception=mistake.misconception
                    )
                )
        return NumericQuestion(
            kind="numeric",
            id=self.id,
            objective=self.objective,
            difficulty=self.difficulty,
            prompt=filled(self.prompt, numbers),
            hint=filled(self.hint, numbers),
            explanation=filled(self.explanation, numbers),
            source=self.source,
            unit=self.unit,
            tolerance=self.tolerance,
            answer=answer,
            mistakes=tuple(mistakes),
        )

    @property
    def interaction(self) -> Quantity:
        """Return the number that seed 0 draws."""
        return self.draw(0).interaction

    @property
    def solution(self) -> float:
        """Return the answer to what seed 0 draws."""
        return self.draw(0).solution

    def judge(self, answer: Any) -> Outcome:
        """Judge an answer to what seed 0 draws."""
        return self.draw(0).judge(answer)

    def problems(self) -> Iterator[str]:
        """Yield numbers that the prompt leaves out, and formulas that fail or never differ."""
        named = {match[1] for match in _PLACEHOLDER.finditer(self.prompt)}
        for name in self.numbers:
            if name not in named:
                yield f"the prompt does not tell the student {{{name}}}"
        for name in sorted(named - set(self.numbers)):
            yield f"the prompt names {{{name}}}, which is no number of the question"
        formula = Formula(self.formula)
        answers: set[float] = set()
        seen_apart = [False] * len(self.mistakes)
        for numbers in combinations(self.numbers):
            try:
                answer = formula.value(numbers)
                answers.add(answer)
                width = self.tolerance.width(answer)
                for index, mistake in enumerate(self.mistakes):
                    value = Formula(mistake.formula).value(numbers)
                    seen_apart[index] |= abs(value - answer) > width
            except ValueError as error:
                yield str(error)
                return
        if len(answers) == 1:
            yield "the answer is the same for all numbers"
        for mistake, apart in zip(self.mistakes, seen_apart, strict=True):
            if not apart:
                yield f"the mistake {mistake.formula!r} always counts as right"


@remembered
def _drawn(question: ParameterisedQuestion, seed: int) -> NumericQuestion:
    return question.with_numbers(drawn_numbers(question.numbers, question.id, seed))


def filled(text: str, numbers: dict[str, float]) -> str:
    """Return a text with the numbers in place of their names in braces."""

    def number(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            return match[0]
        value = numbers[match[1]]
        return f"{value:,}" if match[2] else str(value)

    return _PLACEHOLDER.sub(number, text)
