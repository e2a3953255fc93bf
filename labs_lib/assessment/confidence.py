"""How sure a student says they are of an answer, and how often they turn out to be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labs_lib.assessment.event_rows import Event
from labs_lib.assessment.sittings import counted_answers
from labs_lib.errors import choice_error

GUESS, UNSURE, FAIRLY_SURE, SURE = STEPS = ("guess", "unsure", "fairly sure", "sure")
# From this many answers on, a share of right ones below this is worth a remark.
FEWEST_TO_JUDGE, SHARE_WHEN_SURE = 5, 0.8


def legal_confidence(value: Any) -> str:
    """Return one of `STEPS`, or an empty text for None and for an empty text.

    Raises LabError, which names the nearest step, for anything else.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or value not in ("", *STEPS):
        raise choice_error("confidence", value, STEPS)
    return value


@dataclass(frozen=True)
class Step:
    """One step of confidence: how many answers were given at it, and how many were right."""

    name: str
    answered: int
    right: int


@dataclass(frozen=True)
class ConfidenceCalibration:
    """How often a student was right at each step of confidence, from guess to sure."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """Return the shares in one line, the surest first; empty if no confidence was stated."""
        stated = [step for step in reversed(self.steps) if step.answered]
        if not stated:
            return ""
        shares = [f"{step.name} {step.right} of {step.answered}" for step in stated]
        line = f"How often you were right: {', '.join(shares)}."
        sure = stated[0]
        if (
            sure.name == SURE
            and sure.answered >= FEWEST_TO_JUDGE
            and sure.right < SHARE_WHEN_SURE * sure.answered
        ):
            line += " You say sure too soon."
        return line


def confidence_calibration(events: Iterable[Event]) -> ConfidenceCalibration:
    """Return how often answers were right at each step of confidence.

    Only answers that count (`counted_answers`) and that came with a confidence are looked at.
    """
    answered = dict.fromkeys(STEPS, 0)
    right = dict.fromkeys(STEPS, 0)
    for answers in counted_answers(events).values():
        for answer in answers:
            if answer.confidence in answered:
                answered[answer.confidence] += 1
                right[answer.confidence] += answer.correct
    return ConfidenceCalibration(tuple(Step(name, answered[name], right[name]) for name in STEPS))
