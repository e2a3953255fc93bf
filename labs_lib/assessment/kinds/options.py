"""What the two kinds of choice share: options, each wrong one with its misconception."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from labs_lib.assessment.interactions import Offer
from labs_lib.assessment.letters import LETTERS, read_letters
from labs_lib.assessment.outcomes import INCORRECT, Outcome
from labs_lib.assessment.questions import Question, remembered
from labs_lib.assessment.records import Flag, Record, Slug, Text
from labs_lib.assessment.short_texts import normal_form

MOST_OPTIONS = 10


def have_doubles(texts: Iterable[str]) -> bool:
    """Return whether two of the texts are the same but for case."""
    folded = [text.casefold() for text in texts]
    return len(set(folded)) < len(folded)


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

    def as_mistake(self, letter: str) -> Outcome:
        """Return the outcome of choosing this wrong option, which stands under `letter`."""
        return Outcome(INCORRECT, self.feedback or "", self.misconception or letter)


class ChoiceQuestion(Question):
    """A question with options under letters, in the order of the bank."""

    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=MOST_OPTIONS)]

    @model_validator(mode="after")
    def _options_differ(self) -> ChoiceQuestion:
        if have_doubles(option.text for option in self.options):
            raise ValueError("two options have the same text")
        return self

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Return the options as a card and an export show them."""
        return tuple(
            Offer(option.text, option.correct, option.feedback or "") for option in self.options
        )

    @property
    def lettered_options(self) -> dict[str, Option]:
        """Return letter → option, in the order shown."""
        return _layout(self).options

    @property
    def right_letters(self) -> frozenset[str]:
        """Return the letters of the correct options."""
        return _layout(self).right

    def letters_in(self, answer: Any) -> list[str] | str:
        """Return the letters that an answer names, or one line that says what is wrong with it."""
        return read_letters(answer, _layout(self).texts)


class _Layout(NamedTuple):
    """A choice's options by letter, the right letters, and the texts in their normal form."""

    options: dict[str, Option]
    right: frozenset[str]
    texts: list[str]


@remembered
def _layout(question: ChoiceQuestion) -> _Layout:
    lettered = dict(zip(LETTERS, question.options, strict=False))
    right = frozenset(letter for letter, option in lettered.items() if option.correct)
    return _Layout(lettered, right, [normal_form(option.text) for option in question.options])
