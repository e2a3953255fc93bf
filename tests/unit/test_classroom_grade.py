"""Grades come from responses and code alone, behind walls, and the same way every time."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from classroom_making import a_class, put, walls

from benchmarks.mutant_cells import reaches, reaching
from benchmarks.mutant_class import check_class
from benchmarks.mutants import Course
from labs_lib.assessment import find_exercise
from labs_lib.assessment.exercises.from_source import judge_source
from labs_lib.classroom import code_jobs, read_graded
from labs_lib.classroom.cell_needs import needs_of
from labs_lib.classroom.collecting import collect
from labs_lib.classroom.gradebook import CANVAS_FILE, MOODLE_FILE
from labs_lib.classroom.grading import JUDGED_FILE, grade_class
from labs_lib.classroom.records import GRADEBOOK_FILE, Graded
from labs_lib.classroom.senders import Member
from labs_lib.classroom.walls import ways
from labs_lib.errors import LabError

SIZE, MERGE = "02.adapter-size", "02.merge"


@pytest.fixture(scope="module")
def class_of(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Course, Path]]:
    with a_class(tmp_path_factory.mktemp("class")) as found:
        yield found


def handed_by(course: Course, folder: Path, changed: dict[str, dict[str, Any]]) -> None:
    """Hand in for each student what is right, with some fields changed, and collect it."""
    for place, (student, fields) in enumerate(changed.items()):
        put(folder / "inbox", f"hand-in-{student}.zip",
            {**course.perfect(student, 50 + place), **fields})  # fmt: skip
    roster = [Member(student, f"Name {student}") for student in [*changed, "absent"]]
    collect([folder / "inbox"], course.release, folder / "in", roster)


def graded_in(class_of: tuple[Course, Path], folder: Path, way: Any, name: str = "out") -> Graded:
    course, kept = class_of
    return grade_class(folder / "in", course.release, kept, folder / name, way)


def cell(exercise: str, code: str) -> dict[str, Any]:
    source = f"# exercise: {exercise}\n{code}"
    return {"lesson": exercise[:2], "number": 9, "source": source}


def outcome_of(graded: Graded, student: str, item: str) -> str:
    row = next(a for a in graded.answers if (a.student, a.item) == (student, item))
    return row.outcome


@pytest.mark.seconds
def test_thirty_are_graded_twice_to_the_same_bytes(class_of: tuple[Course, Path], tmp_path: Path):
    """The second time with one bench, in another folder: nothing is carried over."""
    course, kept = class_of
    way = walls()
    changed: dict[str, dict[str, Any]] = {f"s{number:02}": {} for number in range(30)}
    changed["s03"] = {"cells": [cell(SIZE, "size = 16 * 4096"), cell(MERGE, "def merge(:")]}
    changed["s04"] = {"cells": [cell(SIZE, "import os\nos._exit(0)")]}
    changed["s05"] = {"responses": []}
    handed_by(course, tmp_path, changed)
    first = graded_in(class_of, tmp_path, way, "one")
    grade_class(tmp_path / "in", course.release, kept, tmp_path / "two", way, side_by_side=1)
    for name in (GRADEBOOK_FILE, CANVAS_FILE, MOODLE_FILE, "graded.json"):
        one, two = (hashlib.sha256((tmp_path / n / name).read_bytes()) for n in ("one", "two"))
        assert one.digest() == two.digest(), name
    assert read_graded(tmp_path / "one") == first
    points = {each.student: each.points for each in first.students}
    whole = len(course.release.items)
    assert (points["s00"], points["absent"]) == (whole, 0)
    assert points["s03"] == points["s04"] == whole - len(course.exercises)
    assert points["s05"] == len(course.exercises)
    text = (tmp_path / "one" / GRADEBOOK_FILE).read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["walls"] for row in rows} == {"bubblewrap"}
    canvas = (tmp_path / "one" / CANVAS_FILE).read_text("utf-8").splitlines()
    assert canvas[1].startswith("    Points Possible")
    assert "'=HYPERLINK" in (tmp_path / "one" / GRADEBOOK_FILE).read_text(
        "utf-8"
    ) or "Name s06" in (tmp_path / "one" / GRADEBOOK_FILE).read_text("utf-8")


def test_a_name_is_no_formula_of_the_gradebooks(class_of: tuple[Course, Path], tmp_path: Path):
    course, _ = class_of
    put(
        tmp_path / "inbox", "hand-in-a.zip", {**course.perfect("a", 1), "name": "=1+1", "cells": []}
    )
    collect([tmp_path / "inbox"], course.release, tmp_path / "in")
    graded_in(class_of, tmp_path, None)
    page = next((tmp_path / "out" / "feedback").iterdir()).read_text("utf-8")
    assert "## 02.private.number: correct\n\nForty-two." in page
    for name in (GRADEBOOK_FILE, CANVAS_FILE, MOODLE_FILE):
        text = (tmp_path / "out" / name).read_text("utf-8")
        assert "'=1+1" in text
        assert ",=1+1" not in text


def test_interrupted_grading_goes_on(
    class_of: tuple[Course, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    handed_by(class_of[0], tmp_path, {"a": {}})
    judged: list[str] = []

    def stand_in(job: code_jobs.CodeJob) -> Any:
        judged.append(job.exercise)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return code_jobs.Outcome("correct", "right")

    monkeypatch.setattr(code_jobs, "_outcome", stand_in)
    with pytest.raises(KeyboardInterrupt):
        grade_class(tmp_path / "in", class_of[0].release, class_of[1], tmp_path / "out", None,
                    side_by_side=1)  # fmt: skip
    file = tmp_path / "out" / JUDGED_FILE
    file.write_bytes(file.read_bytes() + b'{"key": "torn')
    graded = graded_in(class_of, tmp_path, None)
    assert sorted(judged) == sorted([*class_of[0].exercises, judged[2]])
    # The students are in order: "a", "absent".
    assert graded.students[0].points == graded.students[0].possible
    again = graded_in(class_of, tmp_path, None)
    assert again == graded
    assert len(judged) == len(class_of[0].exercises) + 1


def test_without_walls_it_refuses_or_says_so(
    class_of: tuple[Course, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ways.shutil, "which", lambda _: None)
    with pytest.raises(LabError, match="students' code is not run without walls"):
        ways.find_way()
    with pytest.raises(LabError, match="--walls: 'moat' is not one of"):
        ways.find_way("moat")
    handed_by(class_of[0], tmp_path, {"a": {"cells": [cell(SIZE, "size = 16 * (4096 + 1024)")]}})
    graded = graded_in(class_of, tmp_path, None)
    assert graded.walls == "none: --unsafe"
    assert outcome_of(graded, "a", SIZE) == "correct"
    assert "--unsafe" in (tmp_path / "out" / GRADEBOOK_FILE).read_text("utf-8")
    assert "without walls" in (tmp_path / "out" / MOODLE_FILE).read_text("utf-8")


def test_attempts_that_count(class_of: tuple[Course, Path], tmp_path: Path):
    course, kept = class_of
    name = "00.frozen.what-changed"
    right = course.questions[name].right_answer()
    wrong = "a" if right != "a" else "b"
    given = [{"item": name, "response": each, "hints": 1} for each in (wrong, "??", right, wrong)]
    handed_by(course, tmp_path, {"a": {"responses": given, "cells": []}})
    found = []
    for most in (0, 1, 2, 3):
        release = course.release.model_copy(update={"attempts": most})
        graded = grade_class(tmp_path / "in", release, kept, tmp_path / f"out{most}", None)
        row = next(a for a in graded.answers if (a.student, a.item) == ("a", name))
        found.append((row.outcome, row.given, len(row.tries)))
        assert (row.attempts, row.hints) == (3, 1)
    assert found == [
        ("incorrect", wrong, 4), ("incorrect", wrong, 1), ("correct", right, 3),
        ("incorrect", wrong, 4),
    ]  # fmt: skip


def test_what_a_cell_needs_of_those_before_it(class_of: tuple[Course, Path], tmp_path: Path):
    """Imports and functions come along; what the lesson computed is replaced by the record."""
    course, _ = class_of
    helper = {
        "lesson": "02",
        "number": 1,
        "source": "import math\ndef scale(a, r):\n    return a / r",
    }
    uses = cell(MERGE, "def merge(W, bias, A, B, alpha):\n"
                       "    return W + scale(alpha, A.shape[0]) * (B @ A), bias")  # fmt: skip
    model = {"lesson": "02", "number": 2, "source": "count = model.num_parameters()"}
    size = cell(SIZE, "size = count - 3")
    values = [{"item": SIZE, "response": 16 * (4096 + 1024)}]
    handed_by(course, tmp_path, {
        "a": {"cells": [helper, uses, model, size], "responses": values},
        "b": {"cells": [uses, model, size], "responses": []},
    })  # fmt: skip
    graded = graded_in(class_of, tmp_path, None)
    assert [outcome_of(graded, "a", item) for item in (MERGE, SIZE)] == ["correct", "correct"]
    assert [outcome_of(graded, "b", item) for item in (MERGE, SIZE)] == ["error", "error"]


def test_needs_are_read_and_not_run():
    needs = needs_of(
        "def f(x):\n    return helper(x) + torch.ones(k) + total",
        ["import torch, os\nk = 3\ntotal = train()", "def helper(y):\n    return os.sep * y"],
    )
    assert needs.before == "import torch, os\nk = 3\ndef helper(y):\n    return os.sep * y"
    assert needs.computed == ("total",)
    for source in ("%time x", "(" * 500, "x = x + 1", "é" * 9, ""):
        assert needs_of(source, ["a = 1"]).computed == ()


# What a notebook's own sandbox, on purpose, leaves open; a grader's walls must not.
OPEN_IN_A_NOTEBOOK = ("password file", "environment", "solution file", "solution by the course",
                      "answers by the course", "run a program", "become a program")  # fmt: skip


@pytest.mark.parametrize("name", OPEN_IN_A_NOTEBOOK)
def test_a_reach_that_gets_through_is_graded_wrong(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So that the mutants' grades do tell of an escape."""
    monkeypatch.setenv("LABS_A_SECRET", "secret-of-the-test")
    file = tmp_path / "f"
    reach = next(
        r for r in reaches(str(file), str(file), 9, "secret-of-the-test") if r.name == name
    )
    right = find_exercise(SIZE).solution
    assert judge_source(find_exercise(SIZE), right).status == "correct"
    assert judge_source(find_exercise(SIZE), reaching(reach, right, "size = 1")).status != "correct"


@pytest.mark.seconds
def test_mutated_hand_ins_get_no_wrong_grade_and_nothing_out(tmp_path: Path, own_home: None):
    found = check_class(tmp_path, walls(), 48, seed=5)
    assert found.wrong == []
    assert found.escapes == []
