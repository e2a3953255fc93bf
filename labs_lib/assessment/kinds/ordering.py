"""Items to be put in order."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from labs_lib.assessment.interactions import Offer, Order
from labs_lib.assessment.kinds.options import MOST_OPTIONS, have_doubles
from labs_lib.assessment.letters import LETTERS, read_letters
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome
from labs_lib.assessment.questions import Question, remembered
from labs_lib.assessment.records import Record, Text
from labs_lib.assessment.short_texts import normal_form


class Item(Record):
    """One item of an ordering; `feedback` is shown when it is the first out of place."""

    text: Text
    feedback: Text


class OrderingQuestion(Question):
    """Items to be put in order; the bank lists them in the right one."""

    kind: Literal["ordering"]
    items: Annotated[tuple[Item, ...], Field(min_length=3, max_length=MOST_OPTIONS)]

    example: ClassVar[str] = '"b,a,c"'

    @model_validator(mode="after")
    def _items_differ(self) -> OrderingQuestion:
        if have_doubles(item.text for item in self.items):
            raise ValueError("two items have the same text")
        return self

    @property
    def shown(self) -> tuple[int, ...]:
        """Return the order of display, as indices into `items`: shuffled, the same every time."""
        return _layout(self).shown

    @property
    def right_letters(self) -> tuple[str, ...]:
        """Return the letters of display in the right order."""
        return _layout(self).right

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Type the letters in the right order."

    @property
    def interaction(self) -> Order:
        """Return the items as they are shown, and their right order."""
        shown = [self.items[index] for index in self.shown]
        offers = tuple(Offer(item.text, True, item.feedback) for item in shown)
        return Order(offers, self.right_letters)

    @property
    def solution(self) -> str:
        """Return the letters in their right order."""
        return ",".join(self.right_letters)

    def judge(self, answer: Any) -> Outcome:
        """Judge letters or items' texts in an order, however it is written."""
        right = self.right_letters
        letters = read_letters(answer, _layout(self).texts, ordered=True)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        if sorted(letters) != sorted(right):
            legal = ", ".join(sorted(right))
            return Outcome(ERROR, f"Give each of {legal} once, in order; e.g. b,a,c.")
        for place, (given, expected) in enumerate(zip(letters, right, strict=True), start=1):
            if given != expected:
                item = self.items[right.index(given)]
                reason = f"Place {place} ({given}: {item.text}) is not right. {item.feedback}"
                return Outcome(INCORRECT, reason, given)
        return Outcome(CORRECT, self.explanation)


class _Layout(NamedTuple):
    """The order of display, the letters in the right order, and the texts shown, normalized."""

    shown: tuple[int, ...]
    right: tuple[str, ...]
    texts: list[str]


@remembered
def _layout(question: OrderingQuestion) -> _Layout:
    def mixed(index: int) -> str:
        text = f"{question.id}\n{question.items[index].text}"
        return hashlib.sha256(text.encode()).hexdigest()

    shown = sorted(range(len(question.items)), key=mixed)
    if shown == sorted(shown):
        shown.reverse()
    letter_of = {item: LETTERS[place] for place, item in enumerate(shown)}
    right = tuple(letter_of[item] for item in range(len(question.items)))
    return _Layout(tuple(shown), right, [normal_form(question.items[i].text) for i in shown])
