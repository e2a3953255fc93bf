"""The student's copies: no outcome in them as opened, and no student's work is written over."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from workbook_course import NAME, TEXT, replace_in, sources_of, write_edition

from labs_lib import workbook
from labs_lib.errors import LabError
from labs_lib.workbook import State, copies
from labs_lib.workbook.__main__ import news
from tools import notebooks

NEW_TEXT = TEXT.replace("outcome 42", "outcome 43")
SHIPPED = sorted(notebooks.FOLDER.glob("*.ipynb"))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one lesson, which shows a picture."""
    write_edition(tmp_path)
    picture = tmp_path / "notebooks" / "images" / "layer.png"
    picture.parent.mkdir()
    picture.write_bytes(b"a layer")
    (picture.parent / "result.png").write_bytes(b"an outcome")
    return tmp_path


@pytest.fixture
def mine(course: Path) -> Path:
    """The student's copy of the lesson, laid."""
    assert [each.state for each in workbook.lay(course)] == [State.LAID]
    return course / "workbook" / f"{NAME}.ipynb"


def files_of(course: Path) -> dict[str, bytes]:
    """Return what is in the workbook, hidden files too."""
    folder = course / "workbook"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("edition", SHIPPED, ids=lambda path: path.stem)
def test_a_lesson_as_a_student_opens_it_holds_no_outcome(edition: Path):
    text = copies.copy_text(edition)
    copy = nbformat.reads(text, as_version=4)
    nbformat.validate(copy)
    assert not re.search(r"NBVAL|PYTEST_VALIDATE|image/|application/vnd", text)
    for cell in copy.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags", "jupyter"}
    # Nothing else is missing: cell by cell it is the author's text.
    stored = notebooks.read(edition).cells
    assert [cell.source for cell in copy.cells] == [
        re.sub(r"^# NBVAL_CHECK_OUTPUT\n", "", cell.source, flags=re.MULTILINE) for cell in stored
    ]
    assert [cell.id for cell in copy.cells] == [cell.id for cell in stored]


def test_every_shipped_lesson_is_laid_and_nothing_of_the_executed_edition(root: Path):
    lessons = workbook.lessons_of(root)
    assert [lesson.edition for lesson in lessons] == SHIPPED
    shown = {copy.file.name for lesson in lessons for copy in lesson.shown()}
    assert "lesson_00.png" not in shown  # the README's picture of the first lesson, executed


def test_a_copy_is_the_text_alone(course: Path, mine: Path):
    assert sources_of(mine)[1] == 'print("outcome 42")'
    notebook = nbformat.read(mine, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "NBVAL" not in mine.read_text(encoding="utf-8")
    assert "<svg>" not in mine.read_text(encoding="utf-8")
    assert set(files_of(course)) == {
        f"{NAME}.ipynb", f".laid/{NAME}.ipynb", "images/layer.png", ".laid/images/layer.png"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("# NBVAL_CHECK_OUTPUT", False),
        ("#NBVAL_IGNORE_OUTPUT", False),
        ("  # NBVAL_SKIP because it is slow", False),
        ("# PYTEST_VALIDATE_IGNORE_OUTPUT", False),
        ("# what NBVAL_SKIP does", True),
        ("x = '# NBVAL_SKIP'", True),
    ],
)
def test_notes_to_nbval_are_left_out_and_nothing_else(line: str, stays: bool):
    cell = {"cell_type": "code", "source": f"a = 1\n{line}\nb = 2", "metadata": {}}
    copied = copies.student_copy({"cells": [cell]})["cells"][0]["source"]
    assert (line in copied) is stays
    assert copied.splitlines()[0] == "a = 1"
    assert copied.splitlines()[-1] == "b = 2"


def test_a_cell_with_the_tag_is_folded_and_nbvals_tags_are_left_out():
    tags = ["hide-input", "trains", "nbval-skip", "raises-exception"]
    cell = {"cell_type": "code", "source": "draw()", "metadata": {"tags": tags, "scrolled": True}}
    (copied,) = copies.student_copy({"cells": [cell]})["cells"]
    assert copied["metadata"] == {
        "tags": ["hide-input", "trains"], "jupyter": {"source_hidden": True}
    }  # fmt: skip


def test_an_unchanged_copy_follows_the_author_and_a_second_laying_writes_nothing(
    course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
):
    write_edition(course, NEW_TEXT)
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.RENEWED, False)
    assert 'print("outcome 43")' in sources_of(mine)
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("it wrote"))
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.AS_LAID, False)


def as_saved_by_jupyterlab(file: Path) -> None:
    """Save what was only opened: the kernel's version comes in, and a folded cell is opened."""
    notebook = nbformat.read(file, as_version=4)
    notebook.metadata.language_info["version"] = "3.12.1"
    notebook.cells[1].metadata["jupyter"] = {"source_hidden": False}
    file.write_text(json.dumps(notebook, indent=4), encoding="utf-8")


def test_a_copy_that_was_only_opened_follows_the_author_too(course: Path, mine: Path):
    as_saved_by_jupyterlab(mine)
    left = mine.read_bytes()
    assert [each.state for each in workbook.lay(course)] == [State.AS_LAID]
    assert mine.read_bytes() == left
    write_edition(course, NEW_TEXT)
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.RENEWED, False)


def as_answered(file: Path) -> None:
    replace_in(file, ("size = ...", "size = 12"))


def as_only_run(file: Path) -> None:
    replace_in(file)


def as_half_written(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def as_emptied(file: Path) -> None:
    file.write_bytes(b"")


def as_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_a_link_to_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("gone"))


CHANGES = [
    as_answered, as_only_run, as_half_written, as_emptied, as_a_folder, as_a_link_to_nowhere
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_a_student_changed_stays_and_the_newer_text_is_told(course: Path, mine: Path, change):
    change(mine)
    left = files_of(course)
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.YOURS, False)
    write_edition(course, NEW_TEXT)
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.YOURS, True)
    assert files_of(course) == left


def test_a_renamed_copy_stays_and_a_missing_one_is_laid_again(course: Path, mine: Path):
    as_answered(mine)
    answered = mine.read_bytes()
    mine.rename(mine.with_name("my work.ipynb"))
    assert [each.state for each in workbook.lay(course)] == [State.LAID]
    assert mine.with_name("my work.ipynb").read_bytes() == answered
    mine.unlink()
    assert [each.state for each in workbook.lay(course)] == [State.LAID]
    assert "size = ..." in sources_of(mine)[4]


def test_a_picture_that_the_student_changed_stays_too(course: Path, mine: Path):
    picture = mine.parent / "images" / "layer.png"
    picture.write_bytes(b"drawn over")
    (course / "notebooks" / "images" / "layer.png").write_bytes(b"a better layer")
    workbook.lay(course)
    assert picture.read_bytes() == b"drawn over"


@pytest.mark.parametrize("torn", [b"", b'{"cells": [', None], ids=["empty", "half", "gone"])
def test_without_its_record_a_copy_counts_as_the_students(
    course: Path, mine: Path, torn: bytes | None
):
    record = mine.parent / ".laid" / mine.name
    record.unlink() if torn is None else record.write_bytes(torn)
    left = mine.read_bytes()
    write_edition(course, NEW_TEXT)
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.YOURS, True)
    assert mine.read_bytes() == left


def test_a_laying_that_was_cut_off_before_its_record_is_finished(course: Path, mine: Path):
    (mine.parent / ".laid" / mine.name).unlink()
    (laid,) = workbook.lay(course)
    assert (laid.state, laid.update) == (State.AS_LAID, False)
    write_edition(course, NEW_TEXT)
    assert [each.state for each in workbook.lay(course)] == [State.RENEWED]


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("call", ["touch", "write_bytes", "replace"])
def test_a_folder_that_takes_no_file_is_one_line_and_nothing_is_half_written(
    course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, error: int, call: str
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    left = files_of(course)
    write_edition(course, NEW_TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        with pytest.raises(LabError, match=rf"cannot write .*{NAME}.*{os.strerror(error)}") as told:
            workbook.lay(course)
    assert "\n" not in str(told.value)
    assert files_of(course) == left
    assert [each.state for each in workbook.lay(course)] == [State.RENEWED]


def test_a_file_in_the_workbooks_place_is_one_line(course: Path):
    (course / "workbook").write_text("mine", encoding="utf-8")
    with pytest.raises(LabError, match="cannot write"):
        workbook.lay(course)
    assert (course / "workbook").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["02_tiny-Copy1.ipynb", "Untitled.ipynb"])
def test_somebodys_own_notebook_beside_the_editions_is_no_lesson(course: Path, name: str):
    (course / "notebooks" / name).write_bytes(b"")
    assert [each.lesson.name for each in workbook.lay(course)] == [NAME]
    assert workbook.find_lesson(course, "02").edition.name == f"{NAME}.ipynb"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"nbformat": 3, "cells": []}', '{"nbformat": 4, "cells": [{}]}']
)
def test_an_edition_that_is_no_notebook_is_one_line(course: Path, content: str):
    (course / "notebooks" / f"{NAME}.ipynb").write_text(content, encoding="utf-8")
    with pytest.raises(LabError, match=f"cannot read .*{NAME}") as told:
        workbook.lay(course)
    assert "\n" not in str(told.value)
    assert not (course / "workbook" / f"{NAME}.ipynb").exists()


def test_the_course_is_found_from_a_folder_in_it_and_without_a_checkout_told(
    course: Path, mine: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch, root: Path,
):  # fmt: skip
    monkeypatch.chdir(mine.parent)
    assert workbook.course_folder() == course
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert workbook.course_folder() == root
    monkeypatch.setattr("labs_lib.paths.checkout", lambda: None)
    with pytest.raises(LabError, match="the lessons are in the course's folder"):
        workbook.course_folder()


def test_a_start_tells_where_the_work_is_and_of_newer_texts_and_else_nothing(course: Path):
    (told,) = news(workbook.lay(course))
    assert told.startswith("Your lessons are in workbook/")
    assert news(workbook.lay(course)) == []
    as_answered(course / "workbook" / f"{NAME}.ipynb")
    assert news(workbook.lay(course)) == []
    write_edition(course, NEW_TEXT)
    (told,) = news(workbook.lay(course))
    assert "newer text of 02: python3 course.py lesson NUMBER --update" in told


def test_on_a_hub_the_course_is_read_only_and_the_copies_are_the_students(
    course: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LABS_COURSE", str(course))
    monkeypatch.setenv("LABS_WORKBOOK", str(home / "lora-lab"))
    monkeypatch.chdir(home)
    before = sorted(course.rglob("*"))
    laid = workbook.lay(workbook.course_folder())
    assert [each.lesson.file for each in laid] == [home / "lora-lab" / f"{NAME}.ipynb"]
    assert laid[0].lesson.file.is_file()
    assert (home / "lora-lab" / "images" / "layer.png").is_file()
    assert news(laid) == [
        "Your lessons are in lora-lab/; what you change there is never overwritten."
    ]
    assert sorted(course.rglob("*")) == before
    monkeypatch.setenv("LABS_COURSE", str(home))
    with pytest.raises(LabError, match=r"LABS_COURSE: .* holds no lessons"):
        workbook.course_folder()
