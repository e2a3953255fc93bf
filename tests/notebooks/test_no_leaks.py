"""No answer, explanation or solution stands in any notebook: source, outputs or metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.kinds import ParameterisedQuestion, SingleChoice
from labs_lib.assessment.questions import Question
from tools import notebooks

# A line of a solution this long is no common line of code; a shorter one may be.
LONG_LINE = 40
SHIPPED = sorted([*notebooks.FOLDER.rglob("*.ipynb"), *notebooks.FOLDER.rglob("*.py")])


def plain(text: str) -> str:
    """Return text without markup and line breaks, so that a re-wrapped copy is found too."""
    text = re.sub(r"<[^>]*>|[`*_\\#>]", "", text)
    return re.sub(r"\s+", " ", text).casefold()


def everything_in(path: Path) -> str:
    """Return all text of a file; of a notebook every string in it, wherever it stands."""
    raw = path.read_text(encoding="utf-8")
    return raw if path.suffix == ".py" else "\n".join(strings_of(json.loads(raw)))


def strings_of(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        # nbformat keeps a text as the list of its lines.
        if part and all(isinstance(line, str) for line in part):
            yield "".join(part)
        else:
            for each in part:
                yield from strings_of(each)
    elif isinstance(part, dict):
        for name, each in part.items():
            if not str(name).startswith("image/"):
                yield from strings_of(each)


def secrets_of(question: Question) -> Iterator[str]:
    yield question.explanation
    yield question.hint
    for part in ("options", "items", "mistakes"):
        for each in getattr(question, part, ()):
            if each.feedback:
                yield each.feedback
    if isinstance(question, ParameterisedQuestion):
        yield question.formula


def secrets() -> Iterator[tuple[str, str]]:
    """Yield (id, text) for everything that a notebook must not hold."""
    for bank in load_banks().values():
        for question in bank.questions:
            for secret in secrets_of(question):
                # An explanation with drawn numbers is searched for by its fixed pieces.
                for piece in re.split(r"\{\w+(?::,)?\}", secret):
                    if len(plain(piece)) >= 25 or secret == piece:
                        yield question.id, piece
    for exercise in all_exercises():
        yield exercise.id, exercise.solution
        yield exercise.id, exercise.praise
        for known in exercise.check.misconceptions:
            yield exercise.id, known.message
        starter = exercise.starter.splitlines()
        for line in exercise.solution.splitlines():
            own = line not in starter and not line.startswith(("from ", "import "))
            if own and len(line.strip()) >= LONG_LINE:
                yield exercise.id, line.strip()


SECRETS = [(item, plain(text)) for item, text in secrets() if len(plain(text).strip()) >= 12]


def leaks_in(text: str) -> list[str]:
    """Return what a text gives away."""
    told = plain(text)
    return [f"{item}: {secret[:80]}" for item, secret in SECRETS if secret.strip() in told]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_nothing_is_given_away(path: Path):
    assert leaks_in(everything_in(path)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_card_is_answered_and_no_solution_shown(path: Path):
    for cell_type, source, _ in notebooks.cells_of(notebooks.read(path)):
        if cell_type == "code":
            assert not re.search(r"\.submit\(", source), source
            assert not re.search(r"^\s*(solution|hint)\(", source, re.MULTILINE), source


def test_no_widget_state_is_stored():
    for path in notebooks.FOLDER.rglob("*.ipynb"):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert "widgets" not in content["metadata"], path.name


def test_the_search_finds_what_is_hidden_in_a_notebook():
    bank = load_banks()["04"]
    question = bank.questions[0]
    assert isinstance(question, SingleChoice)
    exercise = all_exercises()[-1]
    wrapped = question.explanation.replace(" ", "\n  ", 3)
    for hidden in (wrapped, f"<p>{question.options[0].feedback}</p>", exercise.solution):
        cell = {"outputs": [{"data": {"text/html": [hidden]}}], "metadata": {}}
        assert leaks_in("\n".join(strings_of({"cells": [cell]})))
        meta = {"metadata": {"widgets": {"state": {"value": hidden}}}}
        assert leaks_in("\n".join(strings_of(meta)))
