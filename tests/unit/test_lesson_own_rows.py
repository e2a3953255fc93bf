"""Lesson 07 with rows that no one here wrote: its cells, small, from the file to the rubric."""

from __future__ import annotations

import ast
import inspect
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from labs_lib.assessment.cells import exercise_of
from tools import notebooks

SOURCE = notebooks.FOLDER / "source" / "07_your_own_data.py"
# What a student does by hand, and what a page shows.
LEFT_OUT = ("review(", "ask(", "show_task(", "arrange(", "check(", "show_progress(", "predict(")
SMALLER = {
    "rows=32": "rows=4",
    '"steps": 40': '"steps": 6',
    '"learning_rate": 1e-3': '"learning_rate": 1e-2',
    '"eval_every": 8': '"eval_every": 2',
    "questions=24": "questions=2",
    "share=0.9": "share=1.0",
    '"max_tokens": 40': '"max_tokens": 4',
    "longest_answer + 4, 200": "longest_answer + 4, 8",
}


def cells(changes: dict[str, str]) -> list[str]:
    """Return the lesson's code cells, without questions and exercises, with `changes` made."""
    code = [
        text
        for kind, text, _ in notebooks.cells_of(notebooks.read(SOURCE))
        if kind == "code" and not text.startswith(LEFT_OUT) and not exercise_of(text)
    ]
    for old, new in changes.items():
        found = [place for place, text in enumerate(code) if old in text]
        assert len(found) == 1, f"{old!r} is in {len(found)} cells"
        code[found[0]] = code[found[0]].replace(old, new)
    return code


def take(code: list[str]) -> dict[str, Any]:
    """Run the cells one after the other, and show what each ends with, as a notebook does."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for text in code:
        tree = ast.parse(text)
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, text.partition("\n")[0], "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), ast.unparse(last)[:60], "eval"), names)
            assert value is None or repr(value)
    return names


def documentation() -> list[dict[str, str]]:
    """Return rows from the docstrings of an installed package: its functions, told in one line."""
    import statistics

    rows = []
    for package in (json, random, inspect, shutil, statistics, ast):
        for name, function in inspect.getmembers(package, callable):
            text = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").strip()
            if text and not name.startswith("_"):
                prompt = f"What does {package.__name__}.{name} do?"
                rows.append({"prompt": prompt, "completion": text, "module": package.__name__})
    return rows


def in_german() -> list[dict[str, str]]:
    """Return rows in a second language, with letters that are none of English's."""
    cities = ("Zürich", "Köln", "Görlitz", "Gießen", "Lübeck", "Würzburg", "Jena", "Fürth")
    foods = ("Brötchen", "Käse", "Äpfel", "Grünkohl")
    return [
        {
            "prompt": f"Bitte {number} {food} nach {city} liefern, für Frau Müßig-{number}.",
            "completion": json.dumps(
                {"ware": food, "anzahl": number, "ort": city}, ensure_ascii=False
            ),
            "kunde": f"{city}-{number}",
        }
        for number, city in enumerate(cities * 3, start=2)
        for food in foods[number % 4 : number % 4 + 1]
    ]


def of_a_thousand_tokens() -> list[dict[str, str]]:
    """Return few and long rows: a page of text, and whose it is."""
    draw = random.Random(0)
    words = ("harbor", "ship", "rope", "gull", "storm", "tide", "lantern", "captain", "letter")
    return [
        {
            "prompt": " ".join(draw.choices(words, k=950)),
            "completion": f"This page is number {number}.",
            "page": f"page {number}",
        }
        for number in range(20)
    ]


@pytest.fixture
def take_lesson(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Take the lesson, in a home of its own, with these rows as the student's file."""

    def taken(rows: list[dict[str, str]], entity: str, until: str = "") -> dict[str, Any]:
        file = tmp_path / "rows.jsonl"
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        file.write_text("\n".join(lines), encoding="utf-8")
        own = {
            'MY_FILE = "appointments"': f"MY_FILE = {str(file)!r}",
            "ENTITY = None": f"ENTITY = {entity!r}",
            "MODEL = models.BUNDLED_NAME": f"MODEL = {str(tiny_model)!r}",
        }
        code = cells(SMALLER | own)
        last = next(place for place, text in enumerate(code) if text.endswith(until))
        names = take(code[: last + 1] if until else code)
        assert names["by_entity"] == 0
        assert names["run"].after.loss < names["run"].before.loss
        return names

    with notebooks.scratch_home() as home:
        monkeypatch.setenv("LABS_HOME", str(home))
        yield taken


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_that_no_one_here_wrote_go_from_the_file_to_the_rubric(take_lesson: Any):
    names = take_lesson(documentation(), "module")
    assert names["same"] == {"adapter": True, "merged": True, "GGUF": True}
    rubric = names["check_handin"](names["folder"], record=False)
    unmet = {each.name: each.why for each in rubric.criteria if each.met is not True}
    # What the student must still say, and write: the base is a folder that no hub knows.
    assert set(unmet) == {
        "a choice, with its reason",
        "a conclusion that the rows bear out",
        "a complete model card",
    }, unmet
    assert unmet["a complete model card"] == "To be written: base_model."


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("rows", "entity", "shots"),
    [(in_german(), "kunde", 3), (of_a_thousand_tokens(), "page", 1)],
    ids=["German", "a thousand tokens"],
)
def test_a_second_language_and_long_rows_are_scored(
    take_lesson: Any, rows: list[dict[str, str]], entity: str, shots: int
):
    names = take_lesson(rows, entity, until="found.table()")
    assert names["shots"] == shots
    assert len(names["found"].one.values) == 4
