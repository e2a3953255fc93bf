"""`labs class release`: a folder for students, and what its instructor keeps of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from labs_lib.assessment.questions import Question
from labs_lib.classroom.items import (
    bank_text,
    items_of,
    private_banks,
    released_banks,
    without_answers,
)
from labs_lib.classroom.keys import check_signature, classes_dir, is_ours, signed
from labs_lib.classroom.records import RELEASE_FILE, Feedback, Release, read_record
from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.files import folder_written_aside
from labs_lib.workbook.copies import files_shown, student_copy
from labs_lib.workbook.documents import Cell, Notebook, read_notebook, written
from labs_lib.workbook.laying import lessons_of

QUIZZES = "quizzes"
_FURTHER = "## Further questions\n\nYour instructor asks these too."


def make_release(
    folder: Path,
    lessons: Sequence[str],
    *,
    course: Path,
    bank: Path | None = None,
    due: str = "",
    attempts: int = 0,
    feedback: Feedback = "now",
) -> Release:
    """Write the folder that students are given, keep what the instructor needs, and return it.

    Students get their notebooks without outputs, the banks (sealed unless `feedback` is "now")
    and the signed `release.json`. `kept_dir(id)` gets the whole banks and the release with its
    right answers. Raises LabError for an unknown lesson, a folder that holds anything, a bank
    with a slip in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(f"release: {folder} is not an empty folder; name a new one")
    private = private_banks(bank)
    banks = released_banks(lessons, private)
    asked = {lesson: questions for lesson, (_, _, questions) in banks.items()}
    files: dict[str, bytes] = {}
    for lesson, (name, header, questions) in banks.items():
        text = bank_text(header, questions, sealed=feedback != "now")
        files[f"{QUIZZES}/{name}/questions.yaml"] = text.encode()
        own = [q for q in private[lesson].questions] if lesson in private else []
        files |= _notebook(course, lesson, name, header, own)
    items = items_of(asked, private)
    made = datetime.now().astimezone().isoformat(timespec="seconds")
    release = Release(
        id="new",
        made=made,
        lessons=tuple(lessons),
        due=read_due(due),
        attempts=attempts,
        feedback=feedback,
        items=items,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    digest = hashlib.sha256(release.model_dump_json().encode()).hexdigest()
    release = release.model_copy(update={"id": f"{folder.resolve().name[:60]}-{digest[:12]}"})
    public = release.model_copy(update={"items": tuple(map(without_answers, items))})
    kept = signed(release)
    _keep(kept, banks)
    with folder_written_aside(folder) as aside:
        for name, content in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_bytes(content)
        signed(public).write(aside / RELEASE_FILE)
    return kept


def read_due(text: str) -> str:
    """Return a date as ISO 8601 with its offset: a day ends with it, a time is this machine's."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LabError(
            f"--due: {shorten(text)} is no date; write 2027-01-31 or 2027-01-31T18:00"
        ) from None
    if len(text) <= len("2027-01-31"):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment.astimezone().isoformat(timespec="seconds")


def kept_dir(release_id: str) -> Path:
    """Return where the instructor's machine keeps a release."""
    return classes_dir() / release_id


def kept_releases() -> dict[str, Path]:
    """Return id → folder of the releases that this machine has made."""
    found = sorted(classes_dir().glob(f"*/{RELEASE_FILE}"))
    return {path.parent.name: path.parent for path in found}


def find_release(name: str | None) -> tuple[Release, Path]:
    """Return a release that was made here, and the folder that keeps it.

    `name` is its id or the folder that students were given; without one, the only release there
    is. Raises LabError for another, and for one whose signature does not fit.
    """
    releases = kept_releases()
    if not releases:
        raise LabError("release: none was made on this machine; `labs class release` makes one")
    if name is None:
        if len(releases) > 1:
            raise LabError(f"--release: name one of {', '.join(releases)}")
        name = next(iter(releases))
    elif (Path(name) / RELEASE_FILE).is_file():
        name = read_record(Release, Path(name) / RELEASE_FILE).id
    if name not in releases:
        raise choice_error("--release", name, releases)
    release = read_record(Release, releases[name] / RELEASE_FILE)
    check_signature(release)
    if not is_ours(release):
        raise LabError(f"release {name}: another key than this machine's signed it")
    return release, releases[name]


def _keep(
    release: Release, banks: Mapping[str, tuple[str, dict[str, Any], list[Question]]]
) -> None:
    with folder_written_aside(kept_dir(release.id)) as aside:
        for name, header, questions in banks.values():
            path = aside / QUIZZES / name / "questions.yaml"
            path.parent.mkdir(parents=True)
            text = bank_text(header, questions, sealed=False)
            path.write_text(text, encoding="utf-8", newline="\n")
        release.write(aside / RELEASE_FILE)


def _notebook(
    course: Path, lesson: str, name: str, header: Mapping[str, Any], own: Sequence[Question]
) -> dict[str, bytes]:
    """Return the files of a lesson: its notebook with the private questions, and its pictures."""
    found = next((each for each in lessons_of(course) if each.number == lesson), None)
    files: dict[str, bytes] = {}
    if found is None:
        title = _cell(lesson, "markdown", f"# {lesson} · {header['title']}")
        notebook: Notebook = {"cells": [title], "metadata": _KERNEL, "nbformat": 4,
                              "nbformat_minor": 5}  # fmt: skip
    else:
        name = found.name
        notebook = student_copy(read_notebook(found.edition))
        for shown in files_shown(found.edition):
            files[shown.as_posix()] = (found.edition.parent / shown).read_bytes()
    cells = list(notebook["cells"])
    if own:
        cells.append(_cell(lesson, "markdown", _FURTHER))
        cells.append(_cell(lesson, "code", "from labs_lib.widgets import ask"))
    cells += [_cell(lesson, "code", f'ask("{question.id}")') for question in own]
    files[f"{name}.ipynb"] = written({**notebook, "cells": cells}).encode()
    return files


_KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def _cell(lesson: str, kind: str, source: str) -> Cell:
    identity = hashlib.sha256(f"{lesson}\n{source}".encode()).hexdigest()[:12]
    cell: Cell = {"cell_type": kind, "id": identity, "metadata": {}, "source": source}
    return {**cell, "outputs": [], "execution_count": None} if kind == "code" else cell
