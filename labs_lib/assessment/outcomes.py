"""What a response and an outcome are, and what counts as no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

CORRECT = "correct"
INCORRECT = "incorrect"
NOT_ATTEMPTED = "not attempted"
ERROR = "error"
# Of an answer whose judgement stays with an instructor.
RECORDED = "recorded"
Status = Literal["correct", "incorrect", "not attempted", "error", "recorded"]

LONGEST_MESSAGE = 4000
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Response:
    """What a student answered: whatever they typed, to the question with this id.

    `seed` is the student's own number; only a parameterised question looks at it.
    """

    question_id: str
    value: Any = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a response: one of four, or that it was recorded, and why.

    `misconception` names the mistake that was recognized, for reports; empty if none was.
    """

    status: Status
    message: str = ""
    misconception: str = ""

    def __post_init__(self) -> None:
        # Whatever an answer made of a message, nobody reads more than this.
        for name, longest in (("message", LONGEST_MESSAGE), ("misconception", LONGEST_NAME)):
            text = getattr(self, name)
            if len(text) > longest:
                object.__setattr__(self, name, text[: longest - 1] + "…")

    @property
    def is_correct(self) -> bool:
        """Return whether the answer was right."""
        return self.status == CORRECT


class WrongFormError(ValueError):
    """An answer that cannot be judged as it is; the message, without a full stop, is shown."""


BLANK = Outcome(NOT_ATTEMPTED, "Not attempted yet.")


def is_blank(value: object) -> bool:
    """Return whether `value` is what an unsolved notebook holds: None, `...`, or nothing typed."""
    if value is None or value is ...:
        return True
    # Neither isinstance, which believes an object's own `__class__`, nor its own len() or truth.
    kind: Any = type(value)
    if issubclass(kind, str):
        return not str.strip(value)  # pyright: ignore[reportArgumentType]
    boxes: tuple[Any, ...] = (list, tuple, set, frozenset)
    return any(issubclass(kind, box) and not box.__len__(value) for box in boxes)
