"""What a format cannot carry as the course has it, counted, to be said at export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export.parts import feedback_of
from labs_lib.assessment.interactions import Order, Program, Quantity, ShortText
from labs_lib.assessment.questions import Question

_BY_LETTER = "are asked as a choice between four orders; feedback to other orders has no place"
_DRAWN = "have numbers drawn for each student; all students get the same ones"
_COMPUTED = "lose the feedback that is worked out from a number (GB for GiB, a fraction for %)"
_NAMES = "lose the names of misconceptions, by which the course reports"
_SOURCES = "lose their source"


class Loss(NamedTuple):
    """Something that is lost or changed, and for how many questions (or lessons)."""

    what: str
    number: int
    of: str = "questions"

    def __str__(self) -> str:
        return f"{self.number} {self.of} {self.what}"


def losses(
    questions: Sequence[tuple[Bank, Question]], form: str, *, ordering_as_choice: bool = False
) -> list[Loss]:
    """Return what `form` loses of the questions as they stand in their banks, most often first."""
    found: Counter[str] = Counter()
    for _, question in questions:
        found.update(set(_lost(question, form, ordering_as_choice)))
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    lessons = len({bank.lesson for bank, _ in questions})
    if form == "moodle":
        what = "are categories: Moodle XML holds no quizzes, so fill a quiz from each category"
        return [Loss(what, lessons, "lessons"), *(Loss(*each) for each in ranked)]
    return [Loss(*each) for each in ranked]


def _lost(question: Question, form: str, ordering_as_choice: bool) -> Iterator[str]:
    interaction = question.interaction
    if question.depends_on_seed:
        yield _DRAWN
    if any(each.get("misconception") for each in _parts(question)):
        yield _NAMES
    if form != "csv":
        yield _SOURCES
    if isinstance(interaction, Quantity) and interaction.unit and form != "csv":
        yield _COMPUTED
    if isinstance(interaction, Order) and (form == "qti" or ordering_as_choice):
        yield _BY_LETTER
    if form == "moodle":
        yield "show their hint only in a quiz set to interactive with multiple tries"
    elif form == "qti":
        yield from _lost_in_qti(question)
    elif form == "anki":
        yield "are not judged: you compare your answer with the card's back"
        if isinstance(interaction, Program):
            yield "lose the check of their code"


def _lost_in_qti(question: Question) -> Iterator[str]:
    interaction = question.interaction
    yield "show their hint with the feedback to a wrong answer: Canvas has no hints"
    yield "keep their tags in the file, where Canvas does not show them"
    if isinstance(interaction, (Quantity, ShortText)) and feedback_of(question):
        yield "show the feedback to every expected mistake after any wrong answer"
    if isinstance(interaction, Quantity) and interaction.unit:
        yield "name their unit in the question; Canvas judges the number alone"


def _parts(question: Question) -> list[dict[str, Any]]:
    """Return the options, items and mistakes of a question, as they stand in its bank."""
    fields = question.model_dump()
    return [part for key in ("options", "items", "mistakes") for part in fields.get(key, ())]
