"""Two small lessons whose questions are reviewed in tests, and a progress file with given times."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.progress import progress_file

SINGLE, OTHER, DRAWN, CODE, LATER = "01.a.one", "01.a.two", "01.a.drawn", "01.a.code", "02.a.one"
NOW = datetime(2026, 3, 20, 10, 0, tzinfo=timezone.utc)

_HEAD = 'lesson: "{lesson}"\ntitle: T\nobjectives: {{a: b}}\nquestions:\n'
_FIELDS = "objective: a, difficulty: 1, hint: the hint, explanation: because, source: a book"
_OPTIONS = (
    '[{text: "Yes", correct: true}, {text: "No", feedback: no reason}, {text: "Both", feedback: n}]'
)
_SINGLE = '- {{id: {id}, kind: single, prompt: "Is it?", {fields}, options: {options}}}\n'
_DRAWN = (
    '- {{id: {id}, kind: parameterised, prompt: "Twice {{n}}?", {fields}, '
    'numbers: {{n: {{low: 1, high: 9}}}}, formula: "2*n"}}\n'
)
_CODE = "- {{id: {id}, kind: code, prompt: Write it., {fields}, exercise: {exercise}}}\n"


def write_banks(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Write the two lessons and let `LABS_QUIZZES` name them."""
    exercise = next(exercise.id for exercise in all_exercises())
    single = [
        _SINGLE.format(id=item, fields=_FIELDS, options=_OPTIONS) for item in (SINGLE, OTHER, LATER)
    ]
    drawn = _DRAWN.format(id=DRAWN, fields=_FIELDS)
    code = _CODE.format(id=CODE, fields=_FIELDS, exercise=exercise)
    folder.mkdir()
    first = _HEAD.format(lesson="01") + single[0] + single[1] + drawn + code
    (folder / "01_first.yaml").write_text(first, encoding="utf-8")
    second = _HEAD.format(lesson="02") + single[2]
    (folder / "02_second.yaml").write_text(second, encoding="utf-8")
    patch.setenv("LABS_QUIZZES", str(folder))


def event(item: str, outcome: str, days_ago: float, **fields: Any) -> dict[str, Any]:
    """Return an answer, or a hint where `outcome` is "hint", given so many days before `NOW`."""
    time = (NOW - timedelta(days=days_ago)).isoformat()
    if outcome == "hint":
        return {"event": "hint", "id": item, "time": time}
    given = {"response": "a" if outcome == "correct" else "b", "outcome": outcome, "seed": 0}
    return {"event": "answer", "id": item, "time": time, **given, **fields}


def write_log(*events: dict[str, Any], end: bytes = b"") -> None:
    """Make the progress file hold these events, and `end` after them."""
    path = progress_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(each) + "\n" for each in events)
    path.write_bytes(lines.encode() + end)
