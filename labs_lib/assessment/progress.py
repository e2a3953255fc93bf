"""Where a student stands: what follows from the events in the progress file."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labs_lib.assessment.answers import kept_answer, plain
from labs_lib.assessment.confidence import SURE
from labs_lib.assessment.event_rows import KINDS, Event
from labs_lib.assessment.events import (
    export_progress,
    import_progress,
    progress_file,
    read_events,
    record,
    reset_progress,
)
from labs_lib.assessment.outcomes import NOT_ATTEMPTED, RECORDED, Status
from labs_lib.errors import LabError, shorten
from labs_lib.files import write_text
from labs_lib.paths import data_dir

__all__ = [
    "KINDS",
    "Event",
    "ItemState",
    "LessonState",
    "Standing",
    "export_progress",
    "import_progress",
    "item_states",
    "plain",
    "progress_file",
    "read_events",
    "record",
    "record_answer",
    "reset_progress",
    "source_hash",
    "standing",
    "student_seed",
    "try_to_read",
    "try_to_record",
]
LARGEST_SEED = 2**31
# Drawn where the data folder cannot be written: good for as long as the kernel lives.
_passing_seed: list[int] = []
# A LabError is a ValueError; a home folder that cannot be found is a RuntimeError.
_UNWRITABLE = (OSError, ValueError, RuntimeError)


def student_seed() -> int:
    """Return this student's number, which picks the numbers in parameterised questions.

    Drawn once and kept in the data folder, or for this session alone where that cannot be
    written; `LABS_SEED` overrides it.
    """
    named = os.environ.get("LABS_SEED")
    if named is not None:
        try:
            seed = int(named)
        except ValueError:
            raise LabError(f"LABS_SEED: {shorten(named)} is not a whole number") from None
        if not -(2**63) <= seed < 2**63:
            raise LabError(f"LABS_SEED: {shorten(named)} has more than 64 bits")
        return seed
    try:
        path = data_dir() / "seed.txt"
        seed = int(path.read_text(encoding="ascii"))
        if 0 <= seed < LARGEST_SEED:
            return seed
    except _UNWRITABLE:
        pass
    seed = _passing_seed[0] if _passing_seed else secrets.randbelow(LARGEST_SEED)
    try:
        write_text(data_dir() / "seed.txt", f"{seed}\n")
    except _UNWRITABLE:
        _passing_seed[:] = [seed]
    else:
        _passing_seed.clear()
    return seed


def try_to_read() -> tuple[list[Event], str]:
    """Return the events and an empty text; no events and the reason if they cannot be read."""
    try:
        return read_events()[0], ""
    except _UNWRITABLE as error:
        return [], f"Your progress could not be read: {_reason(error)}."


def try_to_record(
    kind: str, item_id: str, *, kept: Mapping[str, Any] | None = None, **fields: Any
) -> str:
    """Record an event; return an empty text, or one line that says why it could not be.

    What a student did is shown to them whether or not it can be kept.
    """
    try:
        record(kind, item_id, kept=kept, **fields)
    except _UNWRITABLE as error:
        return f"Not saved: {_reason(error)}."
    return ""


def record_answer(
    item_id: str, answer: Any, *, confidence: str = "", review: bool = False, **fields: Any
) -> str:
    """Record an answer and what became of it, for cards and checks alike.

    `fields` are the event's others: bank, outcome, misconception, and seed if there is one;
    `confidence` is recorded if it was stated. The answer that was recorded last, given again to the
    same question with the same outcome, leaves nothing; one from before counts as no new attempt.
    An answer to a `review` is always recorded, and said to be one. Returns what `try_to_record`
    does.
    """
    events, problem = try_to_read()
    given = {**kept_answer(answer), **{name: plain(value) for name, value in fields.items()}}
    own = [event for event in events if event["id"] == item_id]
    before = [event for event in own if event["event"] == "answer"]
    same = [event for event in before if _same_answer(event, given)]
    if same and same[-1] is before[-1] and not review:
        return problem
    hints = sum(event["event"] == "hint" for event in own)
    if review:
        given["review"] = True
    elif same:
        given["repeat"] = True
    if confidence:
        given["confidence"] = confidence
    return try_to_record("answer", item_id, kept=given, hints=hints) or problem


def _same_answer(event: Event, given: dict[str, Any]) -> bool:
    names = sorted({*given, "response", "response_sha256"})
    try:  # as JSON, in which 1 and true are two answers
        texts = [json.dumps([part.get(name) for name in names]) for part in (event, given)]
    except RecursionError:
        return False
    return texts[0] == texts[1]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]


def source_hash(*parts: str) -> str:
    """Return a short fingerprint of an exercise's text, as the bank's is of a question's."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class ItemState:
    """Where a student stands with one question or exercise."""

    id: str
    status: Status = NOT_ATTEMPTED
    ever_correct: bool = False
    attempts: int = 0
    wrong: int = 0
    hints: int = 0
    saw_solution: bool = False
    arranged: bool = False
    """Whether its lines were put in an order that works, which is help and no answer."""
    response: Any = None
    response_cut: bool = False
    misconception: str = ""
    seed: int = 0
    confidence: str = ""

    @property
    def revisit(self) -> bool:
        """Return whether it is worth another look: wrong at last, or right only with much help."""
        attempted = self.attempts > 0
        if self.status == RECORDED:
            return False
        return attempted and (not self.ever_correct or self.wrong >= 2 or self.saw_solution)

    @property
    def wrong_and_sure(self) -> bool:
        """Return whether the last answer was wrong, and the student was sure of it."""
        return self.status == "incorrect" and self.confidence == SURE


@dataclass(frozen=True)
class LessonState:
    """A lesson's questions and exercises, and how many are done."""

    lesson: str
    title: str
    items: tuple[ItemState, ...]

    @property
    def total(self) -> int:
        """Return how many questions and exercises the lesson has."""
        return len(self.items)

    @property
    def correct(self) -> int:
        """Return how many were answered right at least once."""
        return sum(item.ever_correct for item in self.items)

    @property
    def attempted(self) -> int:
        """Return how many were attempted."""
        return sum(item.attempts > 0 for item in self.items)

    @property
    def percent(self) -> float:
        """Return the share done, 0 to 100."""
        return 100.0 * self.correct / self.total if self.total else 0.0


@dataclass(frozen=True)
class Standing:
    """A student's whole progress."""

    lessons: tuple[LessonState, ...]
    unreadable: int = 0
    to_write: tuple[str, ...] = ()
    """The exercises whose lines were put in order and that are not written yet."""
    events: list[Event] = field(default_factory=list[Event], repr=False)

    @property
    def revisit(self) -> tuple[ItemState, ...]:
        """Return what is worth another look: wrong and sure first, then by lesson."""
        items = [item for lesson in self.lessons for item in lesson.items if item.revisit]
        return tuple(sorted(items, key=lambda item: not item.wrong_and_sure))


def standing(events: Iterable[Event] | None = None) -> Standing:
    """Return where the student stands, over the present banks and exercises.

    Events of questions that are no longer there stay in the file and are not counted.
    """
    from labs_lib.assessment.banks import load_banks
    from labs_lib.assessment.exercises import exercises_by_lesson

    unreadable = 0
    if events is None:
        events, unreadable = read_events()
    events = list(events)
    states = item_states(events)
    banks, exercises = load_banks(), exercises_by_lesson()
    lessons: list[LessonState] = []
    to_write: list[str] = []
    for lesson in sorted({*banks, *exercises}):
        bank = banks.get(lesson)
        questions = bank.questions if bank else ()
        # An exercise that a code question asks is answered there and counted once.
        asked = {question.exercise_id: question.id for question in questions}
        ids = [question.id for question in questions]
        ids += [each.id for each in exercises.get(lesson, ()) if each.id not in asked]
        to_write += [
            each.id
            for each in exercises.get(lesson, ())
            if states.get(each.id, ItemState(each.id)).arranged
            and not _is_solved(states, each.id, asked.get(each.id, each.id))
        ]
        if ids:
            items = tuple(states.get(item_id, ItemState(item_id)) for item_id in ids)
            lessons.append(LessonState(lesson, bank.title if bank else "", items))
    return Standing(tuple(lessons), unreadable, tuple(to_write), events)


def _is_solved(states: Mapping[str, ItemState], *ids: str) -> bool:
    return any(item_id in states and states[item_id].ever_correct for item_id in ids)


def item_states(events: Iterable[Event]) -> dict[str, ItemState]:
    """Return id → state; blanks and errors are no attempts."""
    by_item: dict[str, list[Event]] = {}
    for event in events:
        if event["event"] not in ("prediction", "comparison"):
            by_item.setdefault(event["id"], []).append(event)
    return {item_id: _state(item_id, own) for item_id, own in by_item.items()}


def _state(item_id: str, events: Iterable[Event]) -> ItemState:
    """Return where the events of one question or exercise, in order, leave the student."""
    attempts = wrong = hints = 0
    ever_correct = saw_solution = arranged = False
    last: Event | None = None
    for event in events:
        kind, outcome = event["event"], event.get("outcome")
        if kind == "hint":
            hints += 1
        elif kind == "solution":
            # Looking at the solution after solving it is no help received.
            saw_solution = saw_solution or not ever_correct
        elif kind == "arranged":
            arranged = arranged or outcome == "correct"
        elif outcome in ("correct", "incorrect", "error", "recorded"):
            last = event
            if outcome != "error" and not event.get("repeat"):
                attempts += 1
                wrong += outcome == "incorrect" and not ever_correct
            ever_correct = ever_correct or outcome == "correct"
    state = ItemState(
        item_id,
        ever_correct=ever_correct,
        attempts=attempts,
        wrong=wrong,
        hints=hints,
        saw_solution=saw_solution,
        arranged=arranged,
    )
    if last is None:
        return state
    seed = last.get("seed", 0)
    return replace(
        state,
        status=last["outcome"],
        response=last.get("response"),
        response_cut="response_sha256" in last,
        misconception=str(last.get("misconception") or ""),
        seed=seed if isinstance(seed, int) else 0,
        confidence=last.get("confidence") or "",
    )
