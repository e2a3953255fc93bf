"""What is kept of a spoken answer in the progress file: its text, the points ticked, the slips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labs_lib.assessment.answers import kept_answer
from labs_lib.assessment.progress import Event, try_to_read, try_to_record
from labs_lib.errors import LabError, shorten
from labs_lib.interview.examining import Examination
from labs_lib.interview.questions import InterviewQuestion

EVENT = "interview"


@dataclass(frozen=True)
class Spoken:
    """An answer as it was recorded: the text, and the numbers of the points ticked, from 1."""

    text: str
    ticked: tuple[int, ...]


def legal_ticks(ticked: Iterable[int], points: int) -> tuple[int, ...]:
    """Return the numbers of the ticked points, in order and each once.

    Raises LabError for a number that is not from 1 to `points`.
    """
    if isinstance(ticked, (str, bytes)) or not isinstance(ticked, Iterable):
        raise LabError(f"ticks: {shorten(ticked)} is not a list of numbers from 1 to {points}")
    numbers = list(ticked)
    for number in numbers:
        if type(number) is not int or not 1 <= number <= points:
            raise LabError(f"ticks: {shorten(number)} is not a number from 1 to {points}")
    return tuple(sorted(set(numbers)))


def record_spoken(examination: Examination, ticked: tuple[int, ...]) -> str:
    """Record an answer with its ticks unless it is blank; return what `try_to_record` does."""
    if examination.is_blank:
        return ""
    question = examination.question
    return try_to_record(
        EVENT,
        question.event_id,
        kept=kept_answer(examination.answer),
        ticked=list(ticked),
        points=len(question.points),
        slips=sorted({found.slip.id for found in examination.slips}),
        seed=question.seed or 0,
    )


def last_spoken(
    question: InterviewQuestion, events: Iterable[Event] | None = None
) -> Spoken | None:
    """Return the student's last answer to a question with these numbers, or None."""
    if events is None:
        events, _ = try_to_read()
    own = [
        event
        for event in events
        if event["event"] == EVENT
        and event["id"] == question.event_id
        and event.get("seed", 0) == (question.seed or 0)
    ]
    if not own:
        return None
    text, count = own[-1].get("response"), len(question.points)
    ticked = tuple(n for n in own[-1].get("ticked") or () if 1 <= n <= count)
    return Spoken(text if isinstance(text, str) else "", ticked)
