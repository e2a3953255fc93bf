"""Items to be put in order."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from labs_lib.assessment.interactions import Offer, Order
from labs_lib.assessment.kinds.options import MOST_OPTIONS, have_doubles
from labs_lib.assessment.letters import LETTERS, read_letters
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome
from labs_lib.assessment.questions import Question
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

    @cached_property
    def _normal_texts(self) -> list[str]:
        return [normal_form(self.items[index].text) for index in self.shown]

    def judge(self, answer: Any) -> Outcome:
        """Judge letters or items' texts in an order, however it is written."""
        right = self.right_letters
        letters = read_letters(answer, self._normal_texts, ordered=True)
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
