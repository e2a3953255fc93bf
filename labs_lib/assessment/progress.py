"""What a student has done: an append-only file of events, and what follows from it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from labs_lib.errors import LabError, shorten
from labs_lib.files import friendly_os_errors, write_text, written_aside
from labs_lib.paths import data_dir

Event = dict[str, Any]
KINDS = ("answer", "hint", "solution", "prediction", "comparison")
LONGEST_KEPT = 2000
LOCK_SECONDS = 10.0
LARGEST_SEED = 2**31


def progress_file() -> Path:
    """Return the file of events: one JSON object a line, in the user's data folder."""
    return data_dir() / "progress.jsonl"


def student_seed() -> int:
    """Return this student's number, which picks the numbers in parameterised questions.

    Drawn once and kept in the data folder; `LABS_SEED` overrides it.
    """
    named = os.environ.get("LABS_SEED")
    if named is not None:
        try:
            return int(named)
        except ValueError:
            raise LabError(f"LABS_SEED: {shorten(named)} is not a whole number") from None
    path = data_dir() / "seed.txt"
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        seed = secrets.randbelow(LARGEST_SEED)
        write_text(path, f"{seed}\n")
        return seed


def record(kind: str, item_id: str, **fields: Any) -> Event:
    """Append one event with the UTC time, under a lock, and return it.

    A last line that was torn (the power went, the disk was full) stays behind as a line of its
    own, and readers skip it. Raises LabError if the file cannot be written.
    """
    event: Event = {
        "event": kind,
        "id": item_id,
        **{name: plain(value) for name, value in fields.items()},
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
    }
    _append([json.dumps(event, ensure_ascii=False, allow_nan=False)])
    return event


def _append(lines: list[str]) -> None:
    path = progress_file()
    with friendly_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path), path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            torn = False
            if size:
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"
            text = "".join(line + "\n" for line in lines)
            file.write((b"\n" if torn else b"") + text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())


def _locked(path: Path) -> Any:
    import filelock

    lock = filelock.FileLock(str(path) + ".lock", timeout=LOCK_SECONDS)
    try:
        return lock.acquire()
    except filelock.Timeout:
        raise LabError(f"{path} is in use by another program for {LOCK_SECONDS:g} s") from None


def read_events(path: Path | None = None) -> tuple[list[Event], int]:
    """Return the events in order, and how many lines could not be read (they are skipped)."""
    path = path or progress_file()
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from error
    lines = [line for line in raw.split(b"\n") if line and not line.isspace()]
    events = [event for event in map(_checked, _parsed(lines)) if event is not None]
    return events, len(lines) - len(events)


def _parsed(lines: list[bytes]) -> list[Any]:
    """Return what each line holds, None for one that is no JSON."""
    # All at once is several times faster; with one bad line, they are read one by one.
    if all(line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines):
        together = _decoded(b"[" + b",".join(lines) + b"]")
        if together is not None and len(together) == len(lines):
            return together
    return [_decoded(line) for line in lines]


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _checked(event: Any) -> Event | None:
    """Return the event if it is one."""
    if (
        isinstance(event, dict)
        and event.get("event") in KINDS
        and isinstance(event.get("id"), str)
        and isinstance(event.get("time"), str)
    ):
        return event
    return None


def plain(value: Any) -> Any:
    """Return `value` as a line of JSON may hold it: short, finite, no objects."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 1024 else "a huge number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        text = value if len(value) <= LONGEST_KEPT else value[:LONGEST_KEPT] + "…"
        return text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in list(value)[:100]]
    if isinstance(value, Mapping):
        return {str(key)[:100]: plain(part) for key, part in list(value.items())[:100]}
    return type(value).__name__


def source_hash(*parts: str) -> str:
    """Return a short fingerprint of an exercise's text, as the bank's is of a question's."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def export_progress(path: Path) -> int:
    """Write a copy of the events to `path`; return how many."""
    events, _ = read_events()
    write_text(path, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))
    return len(events)


def import_progress(path: Path) -> int:
    """Add the events of an exported file that are not here yet; return how many.

    All or nothing: LabError names the first line that is no event.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from error
    known = {_key(event) for event in read_events()[0]}
    new: list[str] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        event = _checked(_decoded(line))
        if event is None:
            raise LabError(f"{path.name}:{number}: not a line of a progress file")
        if _key(event) not in known:
            known.add(_key(event))
            new.append(json.dumps(event, ensure_ascii=False))
    if new:
        _append(new)
    return len(new)


def _key(event: Event) -> str:
    return json.dumps(event, sort_keys=True)


def reset_progress() -> Path | None:
    """Begin anew: the old file is kept beside it under another name, which is returned."""
    path = progress_file()
    if not path.exists():
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")
    kept = path.with_name(f"progress-until-{stamp}.jsonl")
    with friendly_os_errors(path), _locked(path), written_aside(kept) as aside:
        aside.write_bytes(path.read_bytes())
        path.unlink()
    return kept


# ---------------------------------------------------------------------------------------------
# What follows from the events


@dataclass(frozen=True)
class ItemState:
    """Where a student stands with one question or exercise."""

    id: str
    status: Literal["correct", "incorrect", "not attempted", "error"] = "not attempted"
    ever_correct: bool = False
    attempts: int = 0
    wrong: int = 0
    hints: int = 0
    saw_solution: bool = False
    response: Any = None
    misconception: str = ""
    seed: int = 0

    @property
    def revisit(self) -> bool:
        """Return whether it is worth another look: wrong at last, or right only with much help."""
        attempted = self.attempts > 0
        return attempted and (not self.ever_correct or self.wrong >= 2 or self.saw_solution)


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
    events: list[Event] = field(default_factory=list, repr=False)

    @property
    def revisit(self) -> tuple[ItemState, ...]:
        """Return what is worth another look, in the order of the lessons."""
        return tuple(item for lesson in self.lessons for item in lesson.items if item.revisit)


def standing(events: Iterable[Event] | None = None) -> Standing:
    """Return where the student stands, over the present banks and exercises.

    Events of questions that are no longer there stay in the file and are not counted.
    """
    from labs_lib.assessment.banks import load_banks
    from labs_lib.assessment.exercises import LESSONS, exercises_of
    from labs_lib.assessment.questions import CodeQuestion

    unreadable = 0
    if events is None:
        events, unreadable = read_events()
    events = list(events)
    states = item_states(events)
    banks = load_banks()
    lessons = []
    for lesson in sorted({*banks, *LESSONS}):
        bank = banks.get(lesson)
        questions = bank.questions if bank else ()
        # An exercise that a code question asks is answered there and counted once.
        asked = {question.exercise for question in questions if isinstance(question, CodeQuestion)}
        ids = [question.id for question in questions]
        ids += [exercise.id for exercise in exercises_of(lesson) if exercise.id not in asked]
        if ids:
            items = tuple(states.get(item_id, ItemState(item_id)) for item_id in ids)
            lessons.append(LessonState(lesson, bank.title if bank else "", items))
    return Standing(tuple(lessons), unreadable, events)


def item_states(events: Iterable[Event]) -> dict[str, ItemState]:
    """Return id → state, folding the events in order; blanks and errors are no attempts."""
    folded: dict[str, dict[str, Any]] = {}
    for event in events:
        kind = event["event"]
        if kind in ("prediction", "comparison"):
            continue
        state = folded.setdefault(event["id"], {"id": event["id"]})
        if kind == "hint":
            state["hints"] = state.get("hints", 0) + 1
        elif kind == "solution":
            # Looking at the solution after solving it is no help received.
            state["saw_solution"] = state.get("saw_solution", False) or not state.get(
                "ever_correct", False
            )
        else:
            _fold_answer(state, event)
    return {item_id: ItemState(**state) for item_id, state in folded.items()}


def _fold_answer(state: dict[str, Any], event: Event) -> None:
    outcome = event.get("outcome")
    if outcome not in ("correct", "incorrect", "error"):
        return
    state["status"] = outcome
    state["response"] = event.get("response")
    seed = event.get("seed", 0)
    state["seed"] = seed if isinstance(seed, int) else 0
    state["misconception"] = str(event.get("misconception") or "")
    if outcome == "error":
        return
    state["attempts"] = state.get("attempts", 0) + 1
    if outcome == "correct":
        state["ever_correct"] = True
    elif not state.get("ever_correct"):
        state["wrong"] = state.get("wrong", 0) + 1
