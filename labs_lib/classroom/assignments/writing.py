"""The folder of an assignment: the notebook, what it shows, the settings, a page for people."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.classroom.assignments import nbgrader, otter
from labs_lib.classroom.assignments.parts import Code, Marked, parts_of
from labs_lib.errors import LabError, choice_error
from labs_lib.files import folder_written_aside
from labs_lib.workbook import Lesson
from labs_lib.workbook.copies import files_shown, student_copy
from labs_lib.workbook.documents import Notebook, read_notebook, written

_SAID = """\
# {title}

{count} graded cells, one point each. Students and grader need the course's environment; answers
are judged by the course's own checks, and the right ones stand in its question banks, which
students can read. {skipped} of the lesson's own cells train, or need what was trained; no answer
is made of them, so the grader skips them (tag `skip-execution`).

{how}
"""
_NBGRADER = """\
In this folder, with nbgrader installed beside the course:

    nbgrader generate_assignment {name}     # release/{name}
    nbgrader autograde {name}               # what lies in submitted/STUDENT/{name}
    nbgrader generate_feedback {name}
"""
_OTTER = """\
In this folder, with otter-grader installed beside the course:

    otter assign {name}.ipynb dist          # dist/student, dist/autograder
    otter run -a dist/autograder/{name}-autograder_*.zip SUBMISSION.ipynb

`otter grade` does the same in containers; its image then needs the course.
"""


@dataclass(frozen=True)
class Written:
    """What was written: the folder, its graded items, the cells that a grader skips."""

    path: Path
    graded: tuple[str, ...]
    skipped_cells: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """How a grader's folder is laid: where its notebook stands, its cells, its settings."""

    folder: Callable[[str], Path]
    cells: Callable[[list[Any], str], list[dict[str, Any]]]
    said: str
    settings: dict[str, str]


FORMS: dict[str, Form] = {
    "nbgrader": Form(
        lambda name: Path("source") / name,
        lambda parts, _: nbgrader.cells_of(parts),
        _NBGRADER,
        {"nbgrader_config.py": nbgrader.CONFIG},
    ),
    "otter": Form(lambda _: Path(), otter.cells_of, _OTTER, {}),
}


def write_assignment(lesson: Lesson, form: str, out: Path, seed: int = 0) -> Written:
    """Write a lesson as an assignment of nbgrader or otter into the new folder `out`.

    `seed` draws the numbers of questions, which are the same for all students. Raises LabError
    for an unknown form, a lesson with nothing to grade, or a folder that exists.
    """
    if form not in FORMS:
        raise choice_error("form", form, FORMS)
    if out.exists():
        raise LabError(f"out: {out} exists; give the name of a new folder")
    layout = FORMS[form]
    edition = student_copy(read_notebook(lesson.edition))
    parts, left_out = parts_of(edition, seed)
    graded = tuple(part.id for part in parts if isinstance(part, Marked))
    if not graded:
        raise LabError(f"lesson: {lesson.name} has nothing to grade")
    skipped = sum(isinstance(part, Code) and part.skipped for part in parts)
    notebook = _notebook(edition, layout.cells(parts, lesson.name))
    with folder_written_aside(out) as aside:
        inner = aside / layout.folder(lesson.name)
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{lesson.name}.ipynb").write_text(written(notebook), encoding="utf-8")
        for shown in files_shown(lesson.edition):
            (inner / shown).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(lesson.edition.parent / shown, inner / shown)
        for name, text in layout.settings.items():
            (aside / name).write_text(text, encoding="utf-8")
        how = layout.said.format(name=lesson.name)
        said = _SAID.format(title=lesson.name, count=len(graded), skipped=skipped, how=how)
        (aside / "README.md").write_text(said, encoding="utf-8")
    return Written(out, graded, skipped, tuple(left_out))


def _notebook(edition: Notebook, cells: list[dict[str, Any]]) -> Notebook:
    """Return the edition's notebook with other cells, numbered so that each has an id."""
    named = [{**cell, "id": f"cell-{number:03}"} for number, cell in enumerate(cells, 1)]
    return {**edition, "cells": named}
