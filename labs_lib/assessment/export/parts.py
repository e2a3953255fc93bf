"""What the formats share: a question's plain form, its options, its orders."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.interactions import (
    Offer,
    Order,
    Quantity,
    ShortText,
    lettered,
    offers_of,
)
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.questions import Question

# XML 1.0 has no place for these, escaped or not; SQLite and UTF-8 have none for half a pair.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Exported(NamedTuple):
    """The questions to write, each with its bank, and how to ask an ordering."""

    questions: tuple[tuple[Bank, Question], ...]
    ordering_as_choice: bool = False


def plain(question: Question, seed: int) -> Question:
    """Return the question as it is exported: numbers drawn, only characters that XML can hold."""
    question = question.draw(seed)
    fields = question.model_dump()
    cleaned = _cleaned(fields)
    return question if cleaned == fields else type(question).model_validate(cleaned)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_IN_XML.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _cleaned(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        parts = cast("list[Any] | tuple[Any, ...]", value)
        return type(parts)(_cleaned(part) for part in parts)
    return value


def options_of(question: Question) -> list[Offer]:
    """Return a choice's (text, correct, feedback); an ordering's items in the order shown."""
    return list(offers_of(question.interaction))


def orders_of(question: Question) -> list[tuple[str, bool]]:
    """Return four orders of an ordering's letters, the right one among them; else nothing."""
    interaction = question.interaction
    if not isinstance(interaction, Order):
        return []
    return [(offer.text, offer.correct) for offer in interaction.as_choice().offers]


def asked(question: Question, *, items: bool) -> str:
    """Return the prompt with its unit, and with an ordering's items where `items` says so."""
    prompt = question.prompt
    interaction = question.interaction
    if items and isinstance(interaction, Order):
        prompt += "\n\n" + "\n\n".join(lettered(interaction))
    if isinstance(interaction, Quantity) and interaction.unit:
        # A line of its own if the prompt ends with a table, a list or code.
        apart = "\n\n" if "\n" in prompt else " "
        prompt += f"{apart}(in {interaction.unit})"
    return prompt


def title_of(bank: Bank) -> str:
    """Return what a lesson's questions are called together: a category, a quiz, a deck."""
    return f"{bank.lesson} {bank.title}"


def tags_of(question: Question) -> list[str]:
    """Return the lesson, the objective, the difficulty and the kind, as tags."""
    difficulty = f"difficulty-{question.difficulty}"
    return [f"lesson-{question.lesson}", question.objective, difficulty, question.kind]


def feedback_of(question: Question) -> list[tuple[str, str]]:
    """Return (answer, what is said to it) for each answer that the bank has feedback for.

    An option or an item goes by its letter, "a)"; an expected mistake by the number or the words.
    """
    interaction = question.interaction
    if isinstance(interaction, Quantity):
        unit = f" {interaction.unit}" if interaction.unit else ""
        return [(f"{each.value:.6g}{unit}", each.feedback) for each in interaction.mistakes]
    if isinstance(interaction, ShortText):
        return [(", ".join(each.forms), each.feedback) for each in interaction.mistakes]
    offers = zip(LETTERS, offers_of(interaction), strict=False)
    return [(f"{letter})", offer.feedback) for letter, offer in offers if offer.feedback]


def width_of(quantity: Quantity) -> float:
    """Return how far off an answer may be; never 0, which some systems take for a mistake."""
    return max(quantity.width, 1e-9)
