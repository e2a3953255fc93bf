"""A lesson as it is stored: equal to its source, executed to the end, clean and small."""

from __future__ import annotations

import re
from pathlib import Path

from tools import notebooks

CODE_LINES = 20
FILE_BYTES = 1_500_000
BAR = re.compile(r"\d%\|.*\| \d+/\d+ \[")  # as tqdm draws it


def test_every_source_has_its_notebook_and_every_notebook_its_source():
    stored = {path.stem for path in notebooks.FOLDER.glob("*.ipynb")}
    assert stored == {path.stem for path in notebooks.sources()}
    assert stored, "there is no lesson"


def test_notebook_equals_its_source(lesson: Path):
    source = lesson.parent / "source" / f"{lesson.stem}.py"
    assert notebooks.cells_of(notebooks.read(lesson)) == notebooks.cells_of(notebooks.read(source))


def test_the_libraries_load_while_the_student_reads(lesson: Path):
    cells = notebooks.read(lesson).cells
    first = next(index for index, cell in enumerate(cells) if cell.cell_type == "code")
    assert cells[first].source.endswith("load_in_background()")
    assert cells[first + 1].cell_type == "markdown"


def test_a_lesson_after_the_first_begins_with_what_is_due_from_earlier_ones(lesson: Path):
    cells = notebooks.read(lesson).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    places = [place for place, text in enumerate(code) if text.endswith("review()")]
    if lesson.stem == notebooks.sources()[0].stem:
        assert places == []
        return
    assert places in ([1], [2])  # nothing but imports comes before it
    heading = cells[cells.index(next(c for c in cells if c.source == code[places[0]])) - 1]
    assert heading.source.startswith("## Before you start\n")


def test_every_cell_was_executed_in_order_without_errors(lesson: Path):
    code = [cell for cell in notebooks.read(lesson).cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


def test_nothing_of_one_machine_is_stored(lesson: Path):
    notebook = notebooks.read(lesson)
    assert notebooks.leaks(notebook) == []
    assert notebook.metadata == notebooks.METADATA
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        for output in cell.get("outputs", ()):
            assert notebooks.WIDGET_VIEW not in output.get("data", {})


def test_no_progress_bar_is_stored(lesson: Path):
    for cell in notebooks.read(lesson).cells:
        for output in cell.get("outputs", ()):
            assert not BAR.search(notebooks.text_of(output)), cell.source


def test_cells_and_file_are_small(lesson: Path):
    assert lesson.stat().st_size < FILE_BYTES
    for cell in notebooks.read(lesson).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= CODE_LINES, cell.source


def test_every_picture_is_drawn_once_and_says_what_it_shows(lesson: Path):
    """A figure that pyplot knows of is drawn again at the cell's end, without words."""
    for cell in notebooks.read(lesson).cells:
        for output in cell.get("outputs", ()):
            assert "image/png" not in output.get("data", {}), cell.source
