"""What a question asks a person to do, in the few words that cards and exports are made of.

A kind of question says which of these it is; the card and the writers of the formats know these
alone, so that a new kind is shown and exported without a change in any of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from labs_lib.assessment.letters import LETTERS


class Offer(NamedTuple):
    """What stands behind one letter: an option of a choice, or an item to be put in order."""

    text: str
    correct: bool
    feedback: str = ""


class WrongNumber(NamedTuple):
    """A number that is expected as a mistake, and how far around it counts as the same one."""

    value: float
    width: float
    feedback: str


class WrongText(NamedTuple):
    """A short answer that is expected as a mistake, in all its forms."""

    forms: tuple[str, ...]
    feedback: str


@dataclass(frozen=True)
class Choice:
    """Choose the right offer, or all right ones where `several` are."""

    offers: tuple[Offer, ...]
    several: bool = False


@dataclass(frozen=True)
class Order:
    """Put the offers, which are shown shuffled, in the order of `right_letters`."""

    offers: tuple[Offer, ...]
    right_letters: tuple[str, ...]

    @property
    def in_order(self) -> tuple[Offer, ...]:
        """Return the offers in their right order."""
        return tuple(self.offers[LETTERS.index(letter)] for letter in self.right_letters)

    def as_choice(self) -> Choice:
        """Return the choice between four orders of the letters, the right one among them."""
        right = self.right_letters
        orders = {
            right: True,
            tuple(reversed(right)): False,
            (*right[1:], right[0]): False,
            (right[1], right[0], *right[2:]): False,
        }
        offers = [
            Offer(", ".join(order), correct, "" if correct else self._first_out_of_place(order))
            for order, correct in orders.items()
        ]
        offers.sort(key=lambda offer: hashlib.sha256(offer.text.encode()).hexdigest())
        return Choice(tuple(offers))

    def _first_out_of_place(self, order: tuple[str, ...]) -> str:
        """Return the feedback of the first item that a wrong order has out of place."""
        places = enumerate(zip(order, self.right_letters, strict=True), start=1)
        place, given = next((place, given) for place, (given, right) in places if given != right)
        feedback = self.offers[LETTERS.index(given)].feedback
        return f"Place {place} ({given}) is not right. {feedback}"


@dataclass(frozen=True)
class Quantity:
    """Give a number in `unit`, no further than `width` from `value`."""

    value: float
    width: float
    unit: str | None = None
    mistakes: tuple[WrongNumber, ...] = ()


@dataclass(frozen=True)
class ShortText:
    """Give a word or a name, one of `accept`."""

    accept: tuple[str, ...]
    case_sensitive: bool = False
    mistakes: tuple[WrongText, ...] = ()


@dataclass(frozen=True)
class Program:
    """Write the function that the exercise with this id asks for."""

    exercise: str


Interaction = Choice | Order | Quantity | ShortText | Program


def offers_of(interaction: Interaction) -> tuple[Offer, ...]:
    """Return what is offered under the letters a, b, c …, in the order shown; often nothing."""
    return interaction.offers if isinstance(interaction, (Choice, Order)) else ()


def lettered(interaction: Interaction) -> list[str]:
    """Return what is offered as lines for people, "a) text"."""
    offers = offers_of(interaction)
    return [f"{letter}) {offer.text}" for letter, offer in zip(LETTERS, offers, strict=False)]
