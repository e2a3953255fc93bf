"""What a lesson's cell is by its text: an exercise, a prediction, a question."""

from __future__ import annotations

import re

_EXERCISE = re.compile(r"^# exercise: (?P<id>\S+)[ \t]*$", re.MULTILINE)
_PREDICTION = re.compile(r"""^predict\(\s*(?P<quote>["'])(?P<id>[^"']+)(?P=quote)""", re.MULTILINE)
# `ask("id")`, with single or double quotes and any further arguments.
QUESTION = re.compile(r"""\bask\(\s*(?P<quote>["'])(?P<id>[^"']+)(?P=quote)[^()]*\)""")


def exercise_of(cell_source: str) -> str | None:
    """Return the id in a cell's `# exercise: ID` line, or None."""
    match = _EXERCISE.search(cell_source)
    return match["id"] if match else None


def prediction_of(cell_source: str) -> str | None:
    """Return the id of the prediction that a cell makes, or None."""
    match = _PREDICTION.search(cell_source)
    return match["id"] if match else None


def questions_asked(cell_source: str) -> list[str]:
    """Return the ids that a cell asks."""
    return [match["id"] for match in QUESTION.finditer(cell_source)]
