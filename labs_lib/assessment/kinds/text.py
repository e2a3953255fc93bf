"""A word or a name."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from labs_lib.assessment.interactions import ShortText, WrongText
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome
from labs_lib.assessment.questions import Question, remembered
from labs_lib.assessment.records import Flag, Record, Slug, Text
from labs_lib.assessment.short_texts import loose_form, normal_form
from labs_lib.errors import kind_of, shorten

LONGEST_TEXT = 10_000


class TextMistake(Record):
    """A wrong short answer that is expected, in all its forms."""

    match: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    feedback: Text
    misconception: Slug | None = None


class TextQuestion(Question):
    """A word or a name; spacing, width of letters and (by default) case do not count."""

    kind: Literal["text"]
    accept: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    case_sensitive: Flag = False
    mistakes: Annotated[tuple[TextMistake, ...], Field(max_length=50)] = ()

    example: ClassVar[str] = '"…"'

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Type a word or a name."

    @property
    def interaction(self) -> ShortText:
        """Return the accepted words and the expected mistakes."""
        mistakes = tuple(WrongText(mistake.match, mistake.feedback) for mistake in self.mistakes)
        return ShortText(self.accept, self.case_sensitive, mistakes)

    @property
    def solution(self) -> str:
        """Return the first of the accepted words."""
        return self.accept[0]

    def grade(self, answer: Any, seed: Any = 0) -> Outcome:
        """Judge an answer; None is one where the word is "none"."""
        if answer is None and any(normal_form(form) == "none" for form in self.accept):
            answer = "none"  # here None is an answer, and no blank
        return super().grade(answer, seed)

    def judge(self, answer: Any) -> Outcome:
        """Judge a word, or the class or function that bears the name."""
        if issubclass(type(answer), (type, types.FunctionType, types.BuiltinFunctionType)):
            answer = getattr(answer, "__name__", "")  # the thing itself, where its name is asked
        if not issubclass(type(answer), str):
            return Outcome(ERROR, f"Answer in words; {kind_of(answer)} was given.")
        if len(answer) > LONGEST_TEXT:
            return Outcome(ERROR, f"{len(answer):,} characters are too many for a short answer.")
        form = normal_form(answer, self.case_sensitive)
        outcome = _outcomes(self).get(form)
        if outcome is None:
            outcome = _loose_outcomes(self).get(loose_form(answer, self.case_sensitive))
        if outcome is None and not form:
            return Outcome(ERROR, f"Answer in words; {shorten(answer.strip())} is none.")
        return outcome or Outcome(INCORRECT, "That is not it. Mind the exact name; try the hint.")

    def problems(self) -> Iterator[str]:
        """Yield accepted answers that are empty, and mistakes that are accepted."""
        right = {normal_form(form, self.case_sensitive) for form in self.accept}
        if "" in right:
            yield "an accepted answer is empty once it is normalized"
        for mistake in self.mistakes:
            for form in mistake.match:
                if normal_form(form, self.case_sensitive) in right:
                    yield f"the mistake {form!r} is an accepted answer"


@remembered
def _outcomes(question: TextQuestion) -> dict[str, Outcome]:
    """Return normal form → outcome."""
    outcomes: dict[str, Outcome] = {}
    for mistake in question.mistakes:
        for form in mistake.match:
            name = mistake.misconception or normal_form(form)
            key = normal_form(form, question.case_sensitive)
            outcomes[key] = Outcome(INCORRECT, mistake.feedback, name)
    for form in question.accept:
        key = normal_form(form, question.case_sensitive)
        outcomes[key] = Outcome(CORRECT, question.explanation)
    return outcomes


@remembered
def _loose_outcomes(question: TextQuestion) -> dict[str, Outcome]:
    """Return loose form → outcome, for forms that are expected in no other way."""
    correct = Outcome(CORRECT, question.explanation)
    outcomes = {loose_form(form, question.case_sensitive): correct for form in question.accept}
    for mistake in question.mistakes:
        for form in mistake.match:  # what is told apart by a hyphen alone stays told apart
            outcomes.pop(loose_form(form, question.case_sensitive), None)
    outcomes.pop("", None)
    return outcomes
