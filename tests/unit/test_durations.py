"""A lesson's stated time is what its text, its cells and its exercises add up to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labs_lib.assessment.exercises import all_exercises
from labs_lib.errors import LabError
from tools import durations, notebooks, readme
from tools.durations import Duration

SOURCE = """\
# %% [markdown]
# # 97 · A lesson
#
# **Time:** about 20 minutes for you; the machine works for 2 of them on two
# laptop cores. Nothing needs a GPU.

# %%
load_in_background()

# %% [markdown]
# {words}

# %%
# exercise: {exercise}
share_percent = ...
"""
# One of the course's own, whichever there is.
EXERCISE = next(each for each in all_exercises() if each.difficulty == "hard")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of seconds, of this test's own."""
    path = tmp_path / "seconds.json"
    path.write_text('{"97_a_lesson": 90}', encoding="utf-8")
    monkeypatch.setattr(notebooks, "SECONDS", path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A lesson of some 920 words with one exercise."""
    path = tmp_path / "notebooks" / "source" / "97_a_lesson.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE.format(words="word " * 900, exercise=EXERCISE.id), encoding="utf-8")
    return path


def lesson(words: int = 0, seconds: float = 0, exercises: int = 0, name: str = "01_x") -> Duration:
    return Duration(name, words, seconds, exercises, "")


@pytest.mark.parametrize(
    ("words", "seconds", "exercises", "minutes"),
    [
        (1, 0, 0, 5),
        (750, 0, 0, 5),
        (751, 0, 0, 10),
        (150, 60, 3, 5),
        (150, 61, 3, 10),
        (3000, 480, 33, 65),
    ],
)
def test_reading_cells_and_exercises_add_up(words, seconds, exercises, minutes):
    assert lesson(words, seconds, exercises).minutes == minutes


def test_a_lesson_is_counted_from_its_source(source: Path, recorded: Path):
    found = durations.duration_of(source)
    assert 900 < found.words < 930
    assert found.machine_seconds == 90
    assert found.exercise_minutes == EXERCISE.minutes
    assert found.machine_minutes == 2
    assert found.statement in found.stated + " "


@pytest.mark.parametrize(
    ("change", "to"),
    [("20 minutes", "25 minutes"), ("works for 2", "works for 1"), ("**Time:**", "Time:")],
)
def test_a_stale_statement_is_told_the_right_one(source: Path, recorded: Path, change, to):
    words = " word" * (150 * (20 - 2 - 6 - durations.duration_of(source).exercise_minutes) - 30)
    text = source.read_text(encoding="utf-8").replace("word \n", f"word{words}\n")
    source.write_text(text, encoding="utf-8")
    right = "**Time:** about 20 minutes for you; the machine works for 2 of them on two"
    assert durations.duration_of(source).statement.startswith(right)
    assert durations.duration_of(source).problem == ""
    source.write_text(text.replace(change, to, 1), encoding="utf-8")
    problem = durations.duration_of(source).problem
    assert problem.startswith("97_a_lesson: says ")
    assert f"should say '{right}" in problem


def test_a_lesson_that_was_never_executed_is_one_line(source: Path, recorded: Path):
    recorded.write_text("{}", encoding="utf-8")
    with pytest.raises(LabError, match="97_a_lesson: no time of its cells is recorded"):
        durations.duration_of(source)


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        ((60, 60, 60, 60, 60, 60, 60), ""),
        ((30, 30, 65, 65, 65, 65, 65), "the median lesson takes 65 minutes"),
        ((60, 60, 60, 60, 60, 60, 65), "lessons 00 to 06 take 425 minutes"),
    ],
)
def test_the_course_is_no_longer_than_it_may_be(minutes, said):
    names = [f"0{number}_x" for number in range(7)]
    taken = [lesson(exercises=each, name=n) for each, n in zip(minutes, names, strict=True)]
    optional = [lesson(exercises=50, name="02x_why"), lesson(exercises=50, name="07_more")]
    assert [problem.partition(";")[0] for problem in durations.too_long(taken + optional)] == (
        [said] if said else []
    )


@pytest.mark.parametrize(
    ("seconds", "kept"), [(95, 90), (75, 90), (107, 90), (120, 120), (40, 40), (0.2, 1)]
)
def test_what_a_lesson_took_is_recorded_anew_but_for_noise(recorded: Path, seconds, kept):
    assert notebooks.record_seconds("97_a_lesson", seconds, anew=True) == ""
    assert json.loads(recorded.read_text(encoding="utf-8")) == {"97_a_lesson": kept}


@pytest.mark.parametrize(("seconds", "told"), [(95, ""), (200, "90 s are recorded; --record")])
def test_a_busy_machine_changes_no_record_and_a_difference_is_told(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, source: Path,
    capsys: pytest.CaptureFixture[str], seconds, told,
):  # fmt: skip
    monkeypatch.setattr(notebooks, "sources", lambda: [source])
    monkeypatch.setattr(notebooks, "renew", lambda _: seconds)
    assert notebooks.main(["97_a_lesson"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert ("recorded" in line) is bool(told)
    assert told in line
    assert notebooks.recorded_seconds() == {"97_a_lesson": 90}
    assert notebooks.main(["97_a_lesson", notebooks.RECORD]) == 0
    assert notebooks.recorded_seconds() == {"97_a_lesson": 200 if told else 90}


def test_lessons_that_are_gone_are_forgotten(recorded: Path, monkeypatch: pytest.MonkeyPatch):
    notebooks.record_seconds("00_start_here", 70)
    monkeypatch.setattr(readme, "DOCUMENTS", ())
    assert readme.main(["--check"]) == 0
    assert set(notebooks.recorded_seconds()) == {"00_start_here", "97_a_lesson"}
    assert readme.main([]) == 0
    assert notebooks.recorded_seconds() == {"00_start_here": 70}


# The course's own lessons


@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)
def test_the_lesson_says_what_it_takes(source: Path):
    assert durations.duration_of(source).problem == ""


def test_the_course_keeps_its_limits():
    assert durations.too_long(durations.durations()) == []


def test_the_readme_tells_the_same_minutes(root: Path):
    text = (root / "README.md").read_text(encoding="utf-8")
    for each in durations.durations():
        row = re.search(rf"^\| \[[^]]+\]\(notebooks/{each.name}\.ipynb\).*$", text, re.MULTILINE)
        assert row, each.name
        assert row[0].endswith(f"| {each.minutes} minutes |"), each.name
