"""Lessons' exercises are found where their folders stand; the engine knows of no lesson."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from labs_lib.assessment.exercises import all_exercises, exercises_of, find_exercise
from labs_lib.assessment.exercises.base import judge
from labs_lib.assessment.exercises.cases import all_cases
from labs_lib.assessment.lesson_ids import is_optional, lesson_id
from labs_lib.assessment.lessons import lesson_folders, lesson_module
from labs_lib.assessment.progress import standing
from labs_lib.errors import LabError

HELPER = "def double(number):\n    return 2 * number\n"
EXERCISES = """\
from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

from .helper import double

EXERCISES = [
    Exercise(
        id="NN.double",
        title="Double",
        objective="double",
        task="Write `double(number)`.",
        answer="double",
        hints=("Twice.",),
        check=FunctionCheck(
            cases=lambda generator: [(generator.randint(1, 9),) for _ in range(3)],
            probe=lambda function, number: double(function(number)),
            reference=lambda number: double(double(number)),
            misconceptions=(Misconception("same", "Not twice.", wrong=double),),
        ),
    )
]
"""
STARTER = "def double(number):\n    ...\n"
SOLUTION = "def double(number):\n    return number + number\n"


def lesson(home: Path, name: str = "97_doubles") -> Path:
    """Write a lesson with one exercise and return its folder."""
    folder = home / name
    code = folder / "code" / "double"
    code.mkdir(parents=True)
    (folder / "helper.py").write_text(HELPER, encoding="utf-8")
    (folder / "exercises.py").write_text(EXERCISES.replace("NN", lesson_id(name)), encoding="utf-8")
    (code / "starter.py").write_text(STARTER, encoding="utf-8")
    (code / "solution.py").write_bytes(SOLUTION.replace("\n", "\r\n").encode())
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private folder of lessons, in use."""
    folder = tmp_path / "my quizzes"
    folder.mkdir()
    monkeypatch.setenv("LABS_QUIZZES", str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "lesson"),
    [
        ("05", "05"), ("05.codebook", "05"), ("05_qlora", "05"),
        ("05x", "05x"), ("05x.codebook", "05x"), ("05x_qlora", "05x"),
        ("", ""), ("5_qlora", ""), ("055_qlora", ""), ("05qlora", ""), ("05xx_qlora", ""),
        ("05a_qlora", ""), ("x05_qlora", ""), ("05X.codebook", ""), ("05 .codebook", ""),
    ],
)  # fmt: skip
def test_a_lessons_id_is_two_digits_and_an_x_where_it_is_optional(name: str, lesson: str):
    assert lesson_id(name) == lesson
    assert is_optional(lesson) == ("x" in lesson)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_optional_lesson_is_one_of_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    lesson(home, "97_doubles")
    lesson(home, "97x_more_doubles")
    lesson(home, "97y_no_lesson")
    monkeypatch.setenv("LABS_SANDBOX", method)
    assert list(lesson_folders())[-2:] == ["97", "97x"]
    assert [exercise.id for exercise in exercises_of("97")] == ["97.double"]
    exercise = find_exercise("97x.double")
    assert (exercise.lesson, exercise.name, exercise.solution) == ("97x", "double", SOLUTION)
    assert judge(exercise, exercise.solution).is_correct
    assert [state.lesson for state in standing([]).lessons][-2:] == ["97", "97x"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_private_lesson_is_judged_here_and_in_a_new_python(
    home: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    lesson(home)
    monkeypatch.setenv("LABS_SANDBOX", method)
    exercise = find_exercise("97.double")
    assert (exercise.name, exercise.starter, exercise.solution) == ("double", STARTER, SOLUTION)
    assert judge(exercise, exercise.starter).status == "not attempted"
    assert judge(exercise, exercise.solution).is_correct
    mistaken = judge(exercise, "def double(number):\n    return number\n")
    assert (mistaken.status, mistaken.misconception) == ("incorrect", "same")
    assert [state.lesson for state in standing([]).lessons][-1] == "97"


def test_private_lessons_stand_beside_the_courses_and_before_them(home: Path):
    own = {exercise.id for exercise in all_exercises()}
    assert "05.quantize-blocks" in own  # a folder of banks alone takes no exercise away
    lesson(home, "05_doubles")
    lesson(home, "97_doubles")
    assert [exercise.id for exercise in exercises_of("05")] == ["05.double"]
    assert lesson_folders()["05"] == home / "05_doubles"
    after = {exercise.id for exercise in all_exercises()}
    assert after == {each for each in own if lesson_id(each) != "05"} | {"05.double", "97.double"}
    others = {lesson_id(each) for each in own} - {"05"}
    assert {lesson_id(case[0]) for case in all_cases()} == others


def test_another_folder_is_another_lesson(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lesson(home)
    assert find_exercise("97.double").title == "Double"
    other = lesson(tmp_path / "others")
    text = (other / "exercises.py").read_text(encoding="utf-8")
    (other / "exercises.py").write_text(text.replace('"Double"', '"Twice"'), encoding="utf-8")
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path / "others"))
    assert find_exercise("97.double").title == "Twice"
    monkeypatch.delenv("LABS_QUIZZES")
    with pytest.raises(LabError, match=r"exercise: no '97\.double'"):
        find_exercise("97.double")
    with pytest.raises(ModuleNotFoundError):
        lesson_module(other, "exercises")
    assert not any("97_doubles" in name for name in sys.modules)


def test_a_folder_without_exercises_is_no_lesson_of_exercises(home: Path):
    (home / "97_words_only").mkdir()
    assert "97" not in lesson_folders()
    assert exercises_of("97") == ()


def test_two_folders_of_a_number_are_refused(home: Path):
    lesson(home, "97_a")
    lesson(home, "97_b")
    with pytest.raises(LabError, match="97_b: lesson 97 already has its exercises in 97_a"):
        exercises_of("97")


def test_a_folder_that_no_module_can_be_called_is_refused(home: Path):
    lesson(home, "97_version_1.2")
    with pytest.raises(LabError, match=r"97_version_1\.2: .*without a dot"):
        exercises_of("97")


def test_code_that_is_not_there_is_told_by_its_file(home: Path):
    (lesson(home) / "code" / "double" / "solution.py").unlink()
    exercise = find_exercise("97.double")
    assert exercise.starter == STARTER
    with pytest.raises(LabError, match=r"cannot read .*double/solution\.py: No such file"):
        assert exercise.solution


def test_the_package_names_no_lessons_exercise(root: Path):
    """An exercise's id in an example of a comment or docstring stands in backticks."""
    ids = {exercise.id for exercise in all_exercises()}
    quoted = re.compile(r"[\"'](\d\dx?\.[a-z][\w.-]+)[\"']")
    for file in (root / "labs_lib").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not ids & set(quoted.findall(text)), file.name
        assert not re.search(r"\blesson_\d\dx?\b", text), file.name


def test_what_a_lesson_brings_is_in_small_files(root: Path):
    for file in (root / "quizzes").rglob("*.py"):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 400, f"{file.relative_to(root)}: {lines} lines"


def test_every_exercise_has_its_code_and_no_code_is_left_over():
    for folder in lesson_folders().values():
        names = {exercise.name for exercise in exercises_of(lesson_id(folder.name))}
        files = {
            file.relative_to(folder / "code").as_posix() for file in (folder / "code").rglob("*.py")
        }
        assert files == {f"{name}/{part}.py" for name in names for part in ("starter", "solution")}
