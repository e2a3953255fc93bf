"""What the formats share: a question's plain form, its options, its orders."""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.questions import (
    LETTERS,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    ParameterisedQuestion,
    Question,
    SingleChoice,
)

# XML 1.0 has no place for these, escaped or not; SQLite and UTF-8 have none for half a pair.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Exported(NamedTuple):
    """The questions to write, each with its bank, and how to ask an ordering."""

    questions: tuple[tuple[Bank, Question], ...]
    ordering_as_choice: bool = False


def plain(question: Question, seed: int) -> Question:
    """Return the question as it is exported: numbers drawn, only characters that XML can hold."""
    if isinstance(question, ParameterisedQuestion):
        question = question.draw(seed)
    said = question.model_dump()
    cleaned = _cleaned(said)
    return question if cleaned == said else type(question).model_validate(cleaned)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_IN_XML.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _cleaned(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(part) for part in value] if isinstance(value, list) else tuple(
            _cleaned(part) for part in value
        )  # fmt: skip
    return value


def options_of(question: Question) -> list[tuple[str, bool, str]]:
    """Return a choice's (text, correct, feedback); an ordering's items in the order shown."""
    if isinstance(question, (SingleChoice, MultipleChoice)):
        return [(each.text, each.correct, each.feedback or "") for each in question.options]
    if isinstance(question, OrderingQuestion):
        items = [question.items[index] for index in question.shown]
        return [(each.text, True, each.feedback) for each in items]
    return []


def lettered(question: Question) -> list[str]:
    """Return a choice's options, or an ordering's items in the order shown, as "a) text"."""
    return [f"{a}) {text}" for a, (text, *_) in zip(LETTERS, options_of(question), strict=False)]


def orders_of(question: OrderingQuestion) -> list[tuple[str, bool]]:
    """Return four orders of an ordering's letters, the right one among them."""
    right = list(question.right_letters)
    orders = {
        tuple(right): True,
        tuple(reversed(right)): False,
        (*right[1:], right[0]): False,
        (right[1], right[0], *right[2:]): False,
    }
    listed = [(", ".join(order), correct) for order, correct in orders.items()]
    return sorted(listed, key=lambda each: hashlib.sha256(each[0].encode()).hexdigest())


def asked(question: Question, *, items: bool) -> str:
    """Return the prompt with its unit, and with an ordering's items where `items` says so."""
    prompt = question.prompt
    if items and isinstance(question, OrderingQuestion):
        prompt += "\n\n" + "\n\n".join(lettered(question))
    if isinstance(question, NumericQuestion) and question.unit:
        # A line of its own if the prompt ends with a table, a list or code.
        apart = "\n\n" if "\n" in prompt else " "
        prompt += f"{apart}(in {question.unit})"
    return prompt


def width_of(question: NumericQuestion) -> float:
    """Return how far off an answer may be; never 0, which some systems take for a mistake."""
    return max(question.tolerance.width(question.answer), 1e-9)
