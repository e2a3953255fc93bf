"""A lesson begun again, or brought up to date: the work comes over, and the old file stays."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from workbook_course import NAME, TEXT, insert_after, replace_in, sources_of, write_edition

from labs_lib import workbook
from labs_lib.cli import labs
from labs_lib.errors import LabError
from labs_lib.workbook import Carried, State

OWN = nbformat.v4.new_code_cell("a_try = 1", outputs=[], execution_count=3)
NOTE = nbformat.v4.new_markdown_cell("my note")
# The author adds a cell in front, rewrites a cell, and gives the exercise another starter.
NEW_TEXT = (
    TEXT.replace("# # 02 · Tiny", "# # 02 · Tiny, revised")
    .replace("# %%\nrank = 8", "# %%\nprint('new')\n\n# %%\nrank = 8")
    .replace("size = ...", "size = ...  # a number")
)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one lesson, laid."""
    write_edition(tmp_path)
    workbook.lay(tmp_path)
    return tmp_path


@pytest.fixture
def lesson(course: Path) -> workbook.Lesson:
    """Its lesson."""
    return workbook.find_lesson(course, "02")


def answer(lesson: workbook.Lesson) -> bytes:
    """Answer the exercise, predict, edit a cell and add two, as a student does."""
    changes = (("size = ...", "size = 12"), ('"02.size", ...', '"02.size", 4096'), ("= 8", "= 16"))
    replace_in(lesson.file, *changes)
    insert_after(lesson.file, "rank", OWN, NOTE)
    return lesson.file.read_bytes()


def kept_files(lesson: workbook.Lesson) -> list[Path]:
    """Return the old files, which have a date in their names."""
    name = re.compile(rf"{lesson.name}-until-\d{{4}}-\d\d-\d\d-\d{{6}}(-\d+)?\.ipynb")
    folder = lesson.file.parent
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def test_again_lays_the_authors_text_and_keeps_the_old_file(lesson: workbook.Lesson):
    fresh = lesson.file.read_bytes()
    for count in (1, 2):
        old = answer(lesson)
        done = workbook.start_again(lesson)
        assert lesson.file.read_bytes() == fresh
        assert done.kept is not None
        assert done.kept.read_bytes() == old
        assert len(kept_files(lesson)) == count
        assert done.text == f"{NAME}.ipynb starts again; your work so far is in {done.kept.name}"


@pytest.mark.parametrize("renew", [workbook.start_again, workbook.bring_in_update])
def test_an_unchanged_or_missing_copy_is_laid_and_nothing_is_kept(lesson: workbook.Lesson, renew):
    assert renew(lesson).text == f"{NAME}.ipynb is as the author wrote it"
    write_edition(lesson.course, NEW_TEXT)
    assert renew(lesson).kept is None
    assert "print('new')" in sources_of(lesson.file)
    lesson.file.unlink()
    assert renew(lesson).kept is None
    assert lesson.file.exists()
    assert kept_files(lesson) == []


def test_without_a_newer_text_an_update_changes_nothing(lesson: workbook.Lesson):
    old = answer(lesson)
    done = workbook.bring_in_update(lesson)
    assert done.text.endswith("the author has no newer text, and your copy stays as it is")
    assert lesson.file.read_bytes() == old
    assert kept_files(lesson) == []


def test_an_update_carries_over_what_the_student_wrote(lesson: workbook.Lesson):
    old = answer(lesson)
    write_edition(lesson.course, NEW_TEXT)
    done = workbook.bring_in_update(lesson)
    assert done.carried == Carried(answers=1, predictions=1, edits=1, own=2)
    title, *cells = sources_of(lesson.file)
    assert title.startswith("# 02 · Tiny, revised")
    assert cells == [
        'print("outcome 42")',
        'predict("02.size", 4096)  # of both',
        "print('new')",
        "rank = 16",
        "a_try = 1",
        "my note",
        "# exercise: 02.count\nsize = 12",
        'check("02.count", size)',
    ]
    assert all(
        not cell.get("outputs") and cell.get("execution_count") is None
        for cell in nbformat.read(lesson.file, as_version=4).cells
    )
    assert [path.read_bytes() for path in kept_files(lesson)] == [old]
    assert done.kept is not None
    assert done.text == (
        f"{NAME}.ipynb has the author's new text; carried over: 1 answer, 1 prediction, "
        f"1 edited cell, 2 cells of your own; the old file is {done.kept.name}"
    )
    # It is the student's from now on, and has the author's newest text.
    (laid,) = workbook.lay(lesson.course)
    assert (laid.state, laid.update) == (State.YOURS, False)


def test_an_answer_comes_over_again_and_again(lesson: workbook.Lesson):
    answer(lesson)
    for number in range(3):
        write_edition(lesson.course, NEW_TEXT.replace("revised", f"revision {number}"))
        done = workbook.bring_in_update(lesson)
        assert done.carried == Carried(answers=1, predictions=1, edits=1, own=2)
    assert "# exercise: 02.count\nsize = 12" in sources_of(lesson.file)


@pytest.mark.parametrize("renew", [workbook.start_again, workbook.bring_in_update])
def test_a_picture_of_the_new_text_comes_with_it(lesson: workbook.Lesson, renew):
    answer(lesson)
    picture = lesson.edition.parent / "images" / "layer.png"
    picture.parent.mkdir()
    picture.write_bytes(b"a layer")
    write_edition(lesson.course, NEW_TEXT)
    renew(lesson)
    assert (lesson.file.parent / "images" / "layer.png").read_bytes() == b"a layer"


def test_a_picture_that_was_pasted_into_a_text_comes_over(lesson: workbook.Lesson):
    notebook = nbformat.read(lesson.file, as_version=4)
    notebook.cells[0].source += "\n![mine](attachment:mine.png)"
    notebook.cells[0].attachments = {"mine.png": {"image/png": "iVBORw0="}}
    nbformat.write(notebook, lesson.file)
    write_edition(lesson.course, TEXT.replace("rank = 8", "rank = 4"))
    assert workbook.bring_in_update(lesson).carried == Carried(edits=1)
    copy = nbformat.read(lesson.file, as_version=4)
    assert copy.cells[0].attachments == notebook.cells[0].attachments


def without_marker(lesson: workbook.Lesson) -> None:
    replace_in(lesson.file, ("# exercise: 02.count\nsize = ...", "size = 12"))


def twice(lesson: workbook.Lesson) -> None:
    replace_in(lesson.file, ("size = ...", "size = 12"))
    second = nbformat.v4.new_code_cell("# exercise: 02.count\nsize = 13")
    insert_after(lesson.file, "size = 12", second)


def moved_and_split(lesson: workbook.Lesson) -> None:
    """A cell that was cut and pasted has an id of its own."""
    notebook = nbformat.read(lesson.file, as_version=4)
    exercise = next(cell for cell in notebook.cells if "exercise" in cell.source)
    notebook.cells.remove(exercise)
    pasted = nbformat.v4.new_code_cell("# exercise: 02.count\nsize = 12")
    notebook.cells[1:1] = [pasted, nbformat.v4.new_code_cell("print(size)")]
    nbformat.write(notebook, lesson.file)


def without_ids(lesson: workbook.Lesson) -> None:
    """Some editors write the older format 4.4, which has no ids."""
    replace_in(lesson.file, ("size = ...", "size = 12"))
    content = json.loads(lesson.file.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        del cell["id"]
    lesson.file.write_text(json.dumps({**content, "nbformat_minor": 4}), encoding="utf-8")


def on_windows(lesson: workbook.Lesson) -> None:
    replace_in(lesson.file, ("size = ...", "size = 12"))
    content = lesson.file.read_text(encoding="utf-8")
    lesson.file.write_bytes(content.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("change", "carried", "exercises"),
    [
        (without_marker, Carried(answers=1), ["size = 12"]),
        (twice, Carried(answers=1, own=1), ["# exercise: 02.count\nsize = 12"]),
        (moved_and_split, Carried(answers=1, own=1), ["# exercise: 02.count\nsize = 12"]),
        (without_ids, Carried(answers=1), ["# exercise: 02.count\nsize = 12"]),
        (on_windows, Carried(answers=1), ["# exercise: 02.count\nsize = 12"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_answer_is_recognized_however_the_file_was_edited(
    lesson: workbook.Lesson, change, carried: Carried, exercises: list[str]
):
    change(lesson)
    write_edition(lesson.course, NEW_TEXT)
    assert workbook.bring_in_update(lesson).carried == carried
    answers = [text for text in sources_of(lesson.file) if text.endswith("size = 12")]
    assert answers == exercises
    assert "size = ...  # a number" not in "".join(sources_of(lesson.file))


def test_what_has_no_place_any_more_is_told_and_kept(lesson: workbook.Lesson):
    old = answer(lesson)
    # Both the edited cell and the exercise are gone from the author's text.
    text = re.sub(r"# %%\nrank = 8\n\n# %%\n# exercise.*?\n\n", "", NEW_TEXT, flags=re.DOTALL)
    write_edition(lesson.course, text)
    done = workbook.bring_in_update(lesson)
    assert done.carried == Carried(predictions=1, own=2, left=2)
    assert "not carried over: 2 cells; the old file is" in done.text
    # The cells of one's own follow what they followed, or what was before that.
    assert sources_of(lesson.file)[3:] == [
        "a_try = 1", "my note", "print('new')", 'check("02.count", size)'
    ]  # fmt: skip
    assert [path.read_bytes() for path in kept_files(lesson)] == [old]


def test_a_cell_that_both_changed_is_the_authors(lesson: workbook.Lesson):
    answer(lesson)
    write_edition(lesson.course, TEXT.replace("rank = 8", "rank = 4"))
    done = workbook.bring_in_update(lesson)
    assert done.carried == Carried(answers=1, predictions=1, own=2, left=1)
    assert "rank = 4" in sources_of(lesson.file)


@pytest.mark.parametrize("torn", [b"", b'{"cells": [', None], ids=["empty", "half", "gone"])
def test_without_its_record_an_update_carries_all_but_the_authors_old_cells(
    lesson: workbook.Lesson, torn: bytes | None
):
    answer(lesson)
    record = lesson.file.parent / ".laid" / lesson.file.name
    record.unlink() if torn is None else record.write_bytes(torn)
    write_edition(lesson.course, NEW_TEXT)
    done = workbook.bring_in_update(lesson)
    # What is left is the old title: its id says that it was the author's.
    assert done.carried == Carried(answers=1, predictions=1, edits=1, own=2, left=1)
    sources = sources_of(lesson.file)
    assert "# exercise: 02.count\nsize = 12" in sources
    assert "# 02 · Tiny\n" not in "".join(sources)
    assert sources[sources.index("rank = 16") + 1 :][:2] == ["a_try = 1", "my note"]


def test_without_record_and_ids_nothing_of_an_old_text_comes_back(lesson: workbook.Lesson):
    without_ids(lesson)
    (lesson.file.parent / ".laid" / lesson.file.name).unlink()
    write_edition(lesson.course, NEW_TEXT)
    assert workbook.bring_in_update(lesson).carried == Carried(answers=1, left=1)
    assert sources_of(lesson.file)[0].startswith("# 02 · Tiny, revised")


@pytest.mark.parametrize("cut", [0, 1, 200])
def test_a_half_written_copy_is_told_and_can_be_begun_again(lesson: workbook.Lesson, cut: int):
    old = answer(lesson)[:cut]
    lesson.file.write_bytes(old)
    write_edition(lesson.course, NEW_TEXT)
    with pytest.raises(LabError, match=f"{NAME}.ipynb: it is not JSON.*--again starts it afresh"):
        workbook.bring_in_update(lesson)
    assert lesson.file.read_bytes() == old
    done = workbook.start_again(lesson)
    assert done.kept is not None
    assert done.kept.read_bytes() == old
    assert "print('new')" in sources_of(lesson.file)


@pytest.mark.parametrize("renew", [workbook.start_again, workbook.bring_in_update])
@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("works", [0, 1, 2], ids=["old file", "lesson", "record"])
def test_where_a_file_cannot_be_written_the_work_is_there(
    lesson: workbook.Lesson, monkeypatch: pytest.MonkeyPatch, renew, error: int, works: int
):
    old = answer(lesson)
    write_edition(lesson.course, NEW_TEXT)
    replace, calls = Path.replace, iter(range(9))

    def refuse(self: Path, target: Path) -> Path:
        if next(calls) >= works:
            raise OSError(error, os.strerror(error))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(LabError, match=f"cannot write .*{os.strerror(error)}"):
            renew(lesson)
    assert old in [path.read_bytes() for path in (lesson.file, *kept_files(lesson))]
    assert [path.name for path in lesson.file.parent.iterdir() if path.name[0] == "."] == [".laid"]


def labs_lesson(course: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run `labs lesson` in the course's folder."""
    monkeypatch.chdir(course)
    done = CliRunner().invoke(labs, ["lesson", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_the_verb_lists_begins_again_and_updates(
    lesson: workbook.Lesson, monkeypatch: pytest.MonkeyPatch
):
    def run(*arguments: str) -> str:
        return labs_lesson(lesson.course, monkeypatch, *arguments)

    assert run() == f"workbook/{NAME}.ipynb: as the author wrote it\n"
    answer(lesson)
    write_edition(lesson.course, NEW_TEXT)
    assert run("02") == f"workbook/{NAME}.ipynb: yours; the author has a newer text (--update)\n"
    (listed,) = json.loads(run("--json"))
    assert listed == {"lesson": "02", "file": str(lesson.file), "state": "yours", "update": True}
    told = run("02", "--update")
    assert "carried over: 1 answer" in told
    assert "Reload Notebook from Disk" in told
    again = json.loads(run(NAME, "--again", "--json"))
    assert again["carried"] is None
    assert Path(again["kept"]).exists()
    assert run(f"{NAME}.ipynb", "--again") == f"{NAME}.ipynb is as the author wrote it\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["03"], r"lesson: '03' is not one of 02; did you mean '02'\?"),
        (["02_tinny", "--again"], r"'02_tinny' is not one of 02; did you mean '02_tiny'\?"),
        (["--again"], "--again needs the lesson's number, such as: 02 --again"),
        (["--update"], "--update needs the lesson's number"),
        (["02", "--again", "--update"], "exclude each other"),
    ],
)
def test_a_wrong_call_is_one_line_and_touches_nothing(
    lesson: workbook.Lesson, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
):
    old = answer(lesson)
    with pytest.raises(Exception, match=message) as told:
        labs_lesson(lesson.course, monkeypatch, *arguments)
    assert "\n" not in str(told.value)
    assert lesson.file.read_bytes() == old
    assert kept_files(lesson) == []
