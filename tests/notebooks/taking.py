"""Taking a lesson as a student would: its cells run in a home of their own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labs_lib.assessment.cells import exercise_of
from labs_lib.assessment.progress import LessonState, standing
from tools import notebooks

SEED = 11
TRAINED = {"runs", "sweeps"}
CALLS = re.compile(r"^(check|ask|predict|show_task)\(", re.MULTILINE)
IMPORTS = (
    "from labs_lib.assessment import check, predict, show_task\nfrom labs_lib.widgets import ask"
)


def outcomes(home: Path) -> dict[str, LessonState]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(home))
        return {each.lesson: each for each in standing().lessons}


def run(notebook, home: Path) -> None:
    notebooks.execute(
        notebook, environment={**os.environ, "LABS_HOME": str(home), "LABS_SEED": str(SEED)}
    )


def assessment_cells(lesson: Path):
    """Return a lesson's notebook with only the cells that check, ask and predict."""
    import nbformat

    notebook = notebooks.read(lesson)
    kept = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and (exercise_of(cell.source) or CALLS.search(cell.source))
    ]
    notebook.cells = [nbformat.v4.new_code_cell(IMPORTS), *kept]
    return notebook


@contextmanager
def progress_aside(home: Path) -> Iterator[None]:
    """Have a home know what was trained in it, but no answer; afterwards what it knew before.

    What is trained is read back where it lies: a recipe names its own rows by their folder.
    """
    data, aside = home / "data", home / "aside"
    data.mkdir(exist_ok=True)
    aside.mkdir()
    for entry in answers_in(data):
        entry.rename(aside / entry.name)
    try:
        yield
    finally:
        for entry in answers_in(data):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for entry in list(aside.iterdir()):
            entry.rename(data / entry.name)
        aside.rmdir()


def answers_in(data: Path) -> list[Path]:
    """Return what a home's data folder holds beside what was trained."""
    return [entry for entry in data.iterdir() if entry.name not in TRAINED]
