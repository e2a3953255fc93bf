"""The verbs of a class, from release to gradebook, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from classroom_making import walls

from labs_lib.assessment.asking import Asked
from labs_lib.cli import labs, main

pytestmark = pytest.mark.usefixtures("own_home")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return what a verb prints as JSON."""
    labs.main([*arguments, "--json"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_from_release_to_gradebook(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    walls()
    monkeypatch.chdir(root)
    folder = tmp_path / "week"
    made = call(capsys, "class", "release", str(folder), "--lessons", "00")
    assert made["items"] == 7
    monkeypatch.chdir(folder)
    right = Asked("00.frozen.file").question.solution
    assert Asked("00.frozen.file").answer(right).heading == "Correct"
    said = call(capsys, "hand-in", "--student", "17")
    assert (said["answered"], said["questions"], said["exercises"]) == (1, 6, 1)
    (tmp_path / "roster.csv").write_text("student,name\n17,Ada\n18,Bob\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    found = call(capsys, "class", "collect", "week", "--class", "roster.csv")
    assert [bool(each["file"]) for each in found["students"]] == [True, False]
    graded = call(capsys, "class", "grade", "collected")
    assert [each["points"] for each in graded] == [1, 0]
    assert (tmp_path / "graded" / "gradebook.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["class", "release", "x", "--lessons", "00", "--feedback", "never"],
            "--feedback: 'never'",
        ),
        (["class", "collect", "nowhere"], "release: none was made on this machine"),
        (["hand-in", "--student", "17"], "no release here"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
