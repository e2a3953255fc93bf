"""A lesson as an assignment: handed out and graded by nbgrader and by otter-grader themselves."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from grading_tools import NAME, environment_with, run_in, small_course
from test_quiz_export import labs

from labs_lib.assessment import assert_correct, assert_readable, find_question
from labs_lib.assessment.cells import exercise_of, questions_asked
from labs_lib.classroom.assignments import FORMS, write_assignment
from labs_lib.classroom.assignments.needed import SKIPPED_TAG, skippable
from labs_lib.classroom.assignments.parts import Answer, Marked, parts_of
from labs_lib.errors import LabError
from labs_lib.workbook import course_folder, find_lesson, lessons_of
from labs_lib.workbook.documents import read_notebook

ITEMS = ["97.adapter-size", "97.adapter.scaling", "97.adapter.file"]
WRONG = {"size = 8 * (576 + 192)": "size = 576 * 192", "'b'": "'a'"}
# One worker makes each grader's environment.
pytestmark = pytest.mark.xdist_group("assignments")


@pytest.fixture
def course(tmp_path, monkeypatch):
    return small_course(tmp_path / "course", monkeypatch)


@pytest.fixture(scope="session")
def tools_home(request, tmp_path_factory) -> Path:
    """The folder of the graders' environments, kept from run to run where pytest keeps anything."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("graders")) if cache else tmp_path_factory.mktemp("graders")


def written_in(course: Path, form: str) -> Path:
    out = course.parent / form
    made = write_assignment(find_lesson(course, "97"), form, out, seed=3)
    assert list(made.graded) == ITEMS
    assert made.skipped_cells == 2
    return out


def with_wrong_answers(notebook: Path) -> nbformat.NotebookNode:
    """Return a notebook in which every answer that is right is a wrong one."""
    content = nbformat.read(notebook, 4)
    _, question = find_question("97.adapter.file")
    right = question.right_answer(3)
    for cell in content.cells:
        for before, after in {**WRONG, f"{right!r}": f"{right / 2!r}"}.items():
            cell.source = cell.source.replace(before, after)
    return content


@pytest.mark.slow
def test_nbgrader_hands_out_and_grades_the_lesson(course, tools_home):
    programs = environment_with("nbgrader", "nbgrader>=0.9.6,<0.10", tools_home)
    out = written_in(course, "nbgrader")
    run_in(out, programs, "nbgrader", "generate_assignment", NAME)
    source, release = (out / kind / NAME / f"{NAME}.ipynb" for kind in ("source", "release"))
    handed_out = release.read_text(encoding="utf-8")
    assert "8 * (576 + 192)" not in handed_out
    assert "assert_correct" not in handed_out
    assert "size = ...  # of lora_A and lora_B together" in handed_out
    submissions = {
        "right": nbformat.read(source, 4),
        "wrong": with_wrong_answers(source),
        "blank": nbformat.read(release, 4),
    }
    for student, notebook in submissions.items():
        folder = out / "submitted" / student / NAME
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{NAME}.ipynb")
    run_in(out, programs, "nbgrader", "autograde", NAME)
    graded = run_in(out, programs, "python", "-c", f"""
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    for each in book.assignment_submissions("{NAME}"):
        print(each.student.id, each.score / each.max_score, each.max_score)
""")  # fmt: skip
    assert sorted(graded.split("\n")) == ["", "blank 0.0 3.0", "right 1.0 3.0", "wrong 0.0 3.0"]
    # A cell that trains, and what is made of it, was not run.
    assert not list((out / "autograded").rglob("*.txt"))


@pytest.mark.slow
def test_otter_hands_out_and_grades_the_lesson(course, tools_home):
    programs = environment_with("otter", "otter-grader>=7,<8", tools_home)
    out = written_in(course, "otter")
    run_in(out, programs, "otter", "assign", f"{NAME}.ipynb", "dist")
    student = out / "dist" / "student" / f"{NAME}.ipynb"
    handed_out = student.read_text(encoding="utf-8")
    assert "8 * (576 + 192)" not in handed_out
    assert "assert_correct" not in handed_out
    (grader,) = (out / "dist" / "autograder").glob("*.zip")
    solved = out / "dist" / "autograder" / f"{NAME}.ipynb"
    submissions = {
        "right": (nbformat.read(solved, 4), 3),
        "wrong": (with_wrong_answers(solved), 0),
        "blank": (nbformat.read(student, 4), 0),
    }
    for name, (notebook, points) in submissions.items():
        nbformat.write(notebook, out / f"{name}.ipynb")
        (out / name).mkdir()
        run_in(out, programs, "otter", "run", "-a", str(grader), "-o", name, f"{name}.ipynb")
        tests = json.loads((out / name / "results.json").read_text())["tests"]
        scores = [each["score"] for each in tests if "score" in each]
        assert (sum(scores), len(scores)) == (points, 3)


# Every lesson


@pytest.mark.parametrize("lesson", lessons_of(course_folder()), ids=lambda lesson: lesson.number)
def test_every_exercise_and_question_of_a_lesson_is_graded(lesson):
    cells = [cell["source"] for cell in read_notebook(lesson.edition)["cells"]
             if cell["cell_type"] == "code"]  # fmt: skip
    expected = {exercise_of(cell) for cell in cells} | {
        each for cell in cells for each in questions_asked(cell)
    }
    parts, left_out = parts_of(read_notebook(lesson.edition), 0)
    tests = [part for part in parts if isinstance(part, Marked)]
    answers = [part for part in parts if isinstance(part, Answer)]
    assert {test.id for test in tests} | set(left_out) == expected - {None}
    assert [answer.id for answer in answers] == [test.id for test in tests]
    assert len({test.id for test in tests}) == len(tests)
    for answer in answers:
        compile(f"{answer.given}\n{answer.solution}", answer.id, "exec")
    for form in FORMS.values():
        shown = form.cells(parts, lesson.name)
        assert len([c for c in shown if "assert_correct" in c["source"]]) == len(tests)


def test_what_an_answer_is_made_of_is_run_though_it_trains():
    cells = [
        "import torch\nmodel = torch.nn.Linear(2, 2)",
        "step(model)",  # trains, and the answer is made of the model
        "loss = run()",  # trains, and nothing graded is made of it
        "print(loss)",
        "loss = 3",
        "print(loss)",
        "answer = model.weight",
    ]
    assert skippable(cells, trains=[1, 2], graded=[6]) == [2, 3]
    assert skippable([*cells, "%magic and no Python"], [1, 2], [6]) == [2, 3]
    # Whatever gives a wanted name is run, though a later cell gives it anew.
    assert skippable(cells, [1, 2], [5]) == [1]
    assert SKIPPED_TAG == "skip-execution"


# What the test cells call


def test_a_test_cell_says_nothing_of_a_right_answer_and_raises_for_any_other(course):
    assert_correct("97.adapter-size", 6144)
    assert_correct("97.adapter.scaling", "b")
    _, question = find_question("97.adapter.file")
    assert_correct("97.adapter.file", question.right_answer(3), seed=3)
    for item, answer in ((ITEMS[0], 5), (ITEMS[0], ...), (ITEMS[1], "a"), (ITEMS[1], "z"),
                         (ITEMS[2], 1)):  # fmt: skip
        with pytest.raises(AssertionError, match=item):
            assert_correct(item, answer)
    assert_readable(ITEMS[1], "a")
    assert_readable(ITEMS[1], ...)
    with pytest.raises(AssertionError, match="error"):
        assert_readable(ITEMS[1], "z")
    with pytest.raises(LabError, match="did you mean"):
        assert_correct("97.adapter.scalin", "b")


# The verb


@pytest.mark.parametrize("form", list(FORMS))
def test_the_verb_writes_a_new_folder_and_says_what_is_graded(course, capsys, form):
    code, out, _ = labs(capsys, "export", form, "97", "--out", "made", "--json")
    assert code == 0
    assert json.loads(out)["graded"] == ITEMS
    assert NAME in (course / "made" / "README.md").read_text()
    code, _, err = labs(capsys, "export", form, "97", "--out", "made")
    assert code == 2
    assert err == "labs: out: made exists; give the name of a new folder\n"
    code, out, _ = labs(capsys, "export", form, "97", "--out", "second")
    assert "3 graded cells" in out
    assert "all get the same ones" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nbgrader", "98", "--out", "a"], "lesson: '98' is not one of 97"),
        (["nbgrader", "97"], "Missing option '--out'"),
        (["--debug"], "Missing command"),
        (["nbgradr", "--to", "card", "--out", "a"], "run: nbgradr holds no finished run"),
        (["run", "--to", "card", "--out", "a"], "Missing argument 'RUN'"),
        (["x", "--to", "crad", "--out", "a"], "did you mean 'card'"),
    ],
)
def test_a_mistake_is_one_line(course, capsys, arguments, message):
    code, _, err = labs(capsys, "export", *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not (course / "a").exists()
