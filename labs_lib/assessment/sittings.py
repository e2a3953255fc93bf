"""The answers that show what a student knew: the first of a sitting, and those to a review."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from labs_lib.assessment.event_rows import Event

# Within this time of an answer that counted, the feedback on it is still fresh.
SITTING = timedelta(hours=12)


@dataclass(frozen=True)
class CountedAnswer:
    """One answer that counts: when it was given (UTC), whether it was right, and with what help.

    `hints` are those taken since the answer before; `confidence` is empty if none was stated.
    """

    time: datetime
    correct: bool
    confidence: str = ""
    hints: int = 0
    seed: int = 0


def counted_answers(
    events: Iterable[Event], until: datetime | None = None
) -> dict[str, list[CountedAnswer]]:
    """Return id → the answers that count, in order of time.

    A right or wrong answer counts if it is the first, the answer to a review, or given more than
    `SITTING` after the last one that counted: what is tried again at once shows that the feedback
    was read. Events later than `until`, or whose time cannot be read, are left out.
    """
    by_item: dict[str, list[tuple[datetime, Event]]] = {}
    for event in events:
        if event["event"] not in ("answer", "hint"):
            continue
        time = time_of(event)
        if time is not None and (until is None or time <= until):
            by_item.setdefault(event["id"], []).append((time, event))
    counted: dict[str, list[CountedAnswer]] = {}
    for item_id, own in by_item.items():
        own.sort(key=lambda pair: pair[0])  # the events of an imported file come last
        if answers := _counted(own):
            counted[item_id] = answers
    return counted


def time_of(event: Event) -> datetime | None:
    """Return an event's time in UTC; None if it cannot be read."""
    text = event["time"]
    if text.endswith("Z"):  # Python 3.10 does not read it
        text = f"{text[:-1]}+00:00"
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            return time.replace(tzinfo=timezone.utc)
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _counted(own: list[tuple[datetime, Event]]) -> list[CountedAnswer]:
    """Return the answers that count among one question's hints and answers, in order of time."""
    answers: list[CountedAnswer] = []
    hints = 0
    for time, event in own:
        if event["event"] == "hint":
            hints += 1
            continue
        if event.get("outcome") not in ("correct", "incorrect"):
            continue
        if not answers or event.get("review") or time - answers[-1].time > SITTING:
            answers.append(
                CountedAnswer(
                    time,
                    event["outcome"] == "correct",
                    event.get("confidence") or "",
                    hints,
                    event.get("seed", 0),
                )
            )
        hints = 0
    return answers
