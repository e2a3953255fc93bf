"""`labs quiz export`: the file that it writes, and what it says of one that it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_quiz_export import labs


def export(capsys, path: Path, *more: str) -> tuple[int, str, str]:
    arguments = ["quiz", "export", "--lesson", "00", "--format", "csv", "--output", str(path)]
    return labs(capsys, *arguments, *more)


def test_a_file_that_stood_there_is_replaced_and_said_so(capsys, tmp_path):
    path = tmp_path / "a.csv"
    assert "replaced" not in export(capsys, path)[1]
    assert "the file that stood there is replaced" in export(capsys, path)[1]
    assert json.loads(export(capsys, path, "--json")[1])["replaced"] is True


def test_a_link_stays_a_link(capsys, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "far" / "a.csv")
    assert export(capsys, tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "a.csv").stat().st_size > 99
    assert export(capsys, tmp_path / "link")[0] == 0
    (tmp_path / "round").symlink_to(tmp_path / "round")
    code, _, err = export(capsys, tmp_path / "round")
    assert code == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["folder", "file/a.csv", "x" * 300])
def test_where_no_file_can_be_the_line_says_so(capsys, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    code, _, err = export(capsys, tmp_path / name)
    assert code == 2
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_dash_is_no_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = export(capsys, Path("-"))
    assert code == 2
    assert "output: '-' is no file name" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["csv", "anki", "qti", "moodle"])
def test_an_ordering_as_a_choice_is_refused_where_it_changes_nothing(capsys, tmp_path, form):
    arguments = ["quiz", "export", "--format", form, "--output", str(tmp_path / "a")]
    code, _, err = labs(capsys, *arguments, "--ordering-as-choice")
    if form in ("qti", "moodle"):
        assert code == 0
        assert (tmp_path / "a").exists()
    else:
        assert code == 2
        assert f"{form} holds an ordering as it is" in err
        assert err.count("\n") == 1
        assert not list(tmp_path.iterdir())


def test_what_is_left_out_is_named(capsys, tmp_path, code_bank):
    arguments = ["quiz", "export", "--format", "moodle", "--output", str(tmp_path / "a.xml")]
    code, out, _ = labs(capsys, *arguments)
    assert code == 0
    assert "left out" in out
    assert code_bank in out


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0\1", b"\xff\xfe", b"a: &a [*a]", b"[" * 9999, b"lesson: 04", b"{}", b"a: 1\na: 2",
        b"lesson: " + b"9" * 5000, "lesson: '09'".encode("utf-16"), b"- " * 9999,
        b'lesson: "09"\ntitle: "\\0"\n', b'lesson: "09"\ntitle: "\\uD800"\n', b"!!python/x y",
    ],
    ids=lambda content: ascii(content[:12]),
)  # fmt: skip
def test_a_hostile_bank_is_one_line_to_check_and_to_export(capsys, tmp_path, monkeypatch, content):
    folder = tmp_path / "banks"
    folder.mkdir()
    (folder / "09_x.yaml").write_bytes(content)
    for path in (folder, folder / "09_x.yaml"):
        code, _, err = labs(capsys, "quiz", "check", str(path))
        assert code == 2
        assert "09_x.yaml:1" in err.replace("yaml:2", "yaml:1")
        assert "Traceback" not in err
    monkeypatch.setenv("LABS_QUIZZES", str(folder))
    arguments = ["quiz", "export", "--format", "anki", "--output", str(tmp_path / "a")]
    code, _, err = labs(capsys, *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "a").exists()
