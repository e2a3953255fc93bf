"""Start a lesson again, or bring the author's new text into it; the old file is always kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labs_lib.errors import LabError
from labs_lib.files import written_aside
from labs_lib.texts import UnreadableError
from labs_lib.workbook.copies import student_copy
from labs_lib.workbook.documents import Notebook, read_notebook, written
from labs_lib.workbook.laying import Lesson, State
from labs_lib.workbook.merging import Carried, merged


@dataclass(frozen=True)
class Renewal:
    """What was done to a lesson's copy.

    Fields:
        lesson: which.
        state: what its copy was before.
        kept: the old file under its new name; None where nothing of the student's was replaced.
        carried: what came over from it; None where nothing was asked to.
    """

    lesson: Lesson
    state: State
    kept: Path | None = None
    carried: Carried | None = None

    @property
    def text(self) -> str:
        """One line for a person."""
        name = self.lesson.file.name
        if self.kept is None and self.state is State.YOURS:
            return f"{name}: the author has no newer text, and your copy stays as it is"
        if self.kept is None:
            return f"{name} is as the author wrote it"
        if self.carried is None:
            return f"{name} starts again; your work so far is in {self.kept.name}"
        return (
            f"{name} has the author's new text; carried over: {_carried(self.carried)}; "
            f"the old file is {self.kept.name}"
        )


def start_again(lesson: Lesson) -> Renewal:
    """Lay a lesson as the author wrote it, whatever its copy holds; the old copy is kept.

    Raises `LabError` where a file cannot be written; the copy then stays as it was.
    """
    copy, state = lesson.lay()
    if state is not State.YOURS:
        return Renewal(lesson, state)
    kept = keep(lesson.file)
    copy.write(copy.content)
    copy.note()
    return Renewal(lesson, state, kept)


def bring_in_update(lesson: Lesson) -> Renewal:
    """Lay the author's new text with the student's work in it; the old copy is kept.

    Raises `LabError` where the copy is no notebook, or a file cannot be written; the copy then
    stays as it was.
    """
    copy, state = lesson.lay()
    if state is not State.YOURS or not copy.has_update():
        return Renewal(lesson, state)
    try:
        mine = read_notebook(lesson.file)
    except UnreadableError as error:
        raise LabError(
            f"{lesson.file.name}: {error.reason}; --again starts it afresh and keeps this file"
        ) from None
    new = student_copy(read_notebook(lesson.edition))
    new, carried = merged(mine, _what_was_laid(copy.record), new)
    kept = keep(lesson.file)
    copy.write(written(new).encode())
    copy.note()
    return Renewal(lesson, state, kept, carried)


def keep(file: Path) -> Path:
    """Copy a student's file to a name with the date and time in it; return the copy."""
    moment = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    kept, number = file.with_name(f"{file.stem}-until-{moment}{file.suffix}"), 1
    while kept.exists():
        number += 1
        kept = file.with_name(f"{file.stem}-until-{moment}-{number}{file.suffix}")
    with written_aside(kept) as aside:
        shutil.copyfile(file, aside)
    return kept


def _what_was_laid(record: Path) -> Notebook | None:
    """Return the text that the student began with; None where its record is lost or torn."""
    try:
        return read_notebook(record)
    except UnreadableError:
        return None


def _carried(carried: Carried) -> str:
    """Return what was carried over, and what was not, in words."""
    counts = (
        (carried.answers, "answer", "answers"),
        (carried.predictions, "prediction", "predictions"),
        (carried.edits, "edited cell", "edited cells"),
        (carried.own, "cell of your own", "cells of your own"),
    )
    listed = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
    left = carried.left
    not_carried = f"; not carried over: {left} {'cell' if left == 1 else 'cells'}" if left else ""
    return (listed or "nothing") + not_carried
