"""A question without its answer: shown and recorded, and graded by whoever holds the bank.

`seal` makes one of any other kind. What gives an answer away stays behind: which option is right,
feedback, the number, the formula, the accepted words, the explanation.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field

from labs_lib.assessment.interactions import (
    Choice,
    Interaction,
    Offer,
    Order,
    Program,
    Quantity,
    ShortText,
    offers_of,
)
from labs_lib.assessment.kinds.code import CodeQuestion
from labs_lib.assessment.kinds.numeric import NumericQuestion, QuantityQuestion
from labs_lib.assessment.kinds.options import MOST_OPTIONS
from labs_lib.assessment.kinds.parameterised import ParameterisedQuestion, filled
from labs_lib.assessment.kinds.ranges import Range, drawn_numbers
from labs_lib.assessment.letters import read_letters
from labs_lib.assessment.outcomes import ERROR, RECORDED, Outcome
from labs_lib.assessment.questions import Question
from labs_lib.assessment.records import Identifier, Text
from labs_lib.assessment.short_texts import normal_form

Asks = Literal["single", "multiple", "numeric", "parameterised", "ordering", "text", "code"]
_INSTEAD = "Whoever released this question has it."
SEALED = Outcome(RECORDED, "Recorded. What became of it is told after grading.")


class SealedQuestion(Question):
    """What a student sees of a question whose answer stays with the instructor.

    `asks` is the kind that it was sealed from, `options` what stands behind the letters.
    """

    kind: Literal["sealed"]
    asks: Asks
    explanation: Text = _INSTEAD
    source: Text = _INSTEAD
    options: Annotated[tuple[Text, ...], Field(max_length=MOST_OPTIONS)] = ()
    numbers: Annotated[dict[str, Range], Field(default_factory=dict, max_length=8)]
    unit: str | None = None
    exercise: Identifier | None = None
    says: Text
    """How to answer, in one sentence."""

    depends_on_seed: ClassVar[bool] = True
    example: ClassVar[str] = '"…"'

    @property
    def exercise_id(self) -> str | None:
        """Return the id of the exercise that the question asks, if it asks one."""
        return self.exercise

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return self.says

    @property
    def interaction(self) -> Interaction:
        """Return what a card shows; which offer is right, it does not know."""
        offers = tuple(Offer(text, False) for text in self.options)
        match self.asks:
            case "single" | "multiple":
                return Choice(offers, several=self.asks == "multiple")
            case "ordering":
                return Order(offers, ())
            case "text":
                return ShortText(())
            case "code":
                return Program(self.exercise or "")
            case _:
                return Quantity(0.0, 0.0, self.unit)

    @property
    def solution(self) -> Any:
        """Return None: there is no answer here."""
        return None

    def draw(self, seed: int) -> SealedQuestion:
        """Return the question with the numbers of the student with this seed."""
        if not self.numbers:
            return self
        numbers = drawn_numbers(self.numbers, self.id, seed)
        return self.model_copy(
            update={"prompt": filled(self.prompt, numbers), "hint": filled(self.hint, numbers),
                    "numbers": {}}
        )  # fmt: skip

    def judge(self, answer: Any) -> Outcome:
        """Say that an answer is recorded, or why it cannot be read."""
        unread = self._unread(answer)
        return Outcome(ERROR, unread) if unread else SEALED

    def _unread(self, answer: Any) -> str:
        if self.asks in ("single", "multiple", "ordering"):
            texts = [normal_form(text) for text in self.options]
            letters = read_letters(answer, texts, ordered=self.asks == "ordering")
            if isinstance(letters, str):
                return letters
            if self.asks == "single" and len(letters) != 1:
                return f"Choose one option; {len(letters)} were given."
            if self.asks == "ordering" and len(letters) != len(self.options):
                return f"Give each of the {len(self.options)} letters once."
        if self.asks in ("numeric", "parameterised"):
            outcome = _any_number(self).judge(answer)
            return outcome.message if outcome.status == ERROR else ""
        return ""


def seal(question: Question) -> SealedQuestion:
    """Return a question without what gives its answer away."""
    if isinstance(question, SealedQuestion):
        return question
    offers = offers_of(question.interaction)
    return SealedQuestion(
        id=question.id,
        kind="sealed",
        asks=cast("Asks", question.kind),
        objective=question.objective,
        difficulty=question.difficulty,
        prompt=question.prompt,
        hint=question.hint,
        options=tuple(offer.text for offer in offers),
        numbers=question.numbers if isinstance(question, ParameterisedQuestion) else {},
        unit=question.unit if isinstance(question, QuantityQuestion) else None,
        exercise=question.exercise if isinstance(question, CodeQuestion) else None,
        says=question.instruction,
    )


def _any_number(question: SealedQuestion) -> NumericQuestion:
    """Return a question whose answer nobody gives, to tell what can be read as a number."""
    return NumericQuestion.model_validate(
        {
            **{name: getattr(question, name) for name in ("id", "objective", "difficulty")},
            **dict.fromkeys(("prompt", "hint", "explanation", "source"), "…"),
            "kind": "numeric", "unit": question.unit, "answer": -1.23456789e-30,
            "tolerance": {"relative": 1e-9},
        }
    )  # fmt: skip
