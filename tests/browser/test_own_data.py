"""Lesson 07 up to the split, in JupyterLab, with rows that a student brings as a CSV file."""

from __future__ import annotations

from pathlib import Path

import nbformat
from labpage import LabPage
from playwright.sync_api import expect

from tools import notebooks

UNTIL = "save_data_set("


def brought(folder: Path) -> Path:
    """Write rows of a student's own: 40 mails of 8 customers, two of them twice."""
    lines = [
        f'"Mail {number} of customer {number % 8}: the lamp {number} is dark",broken,c{number % 8}'
        for number in range(40)
    ]
    path = folder / "mails.csv"
    text = "\n".join(["prompt,completion,customer", *lines, *lines[:2]])
    path.write_text(text, encoding="utf-8")
    return path


def test_a_students_own_file_is_looked_at_and_split(lab: LabPage, tmp_path: Path):
    (source,) = (path for path in notebooks.sources() if path.stem.startswith("07_"))
    notebook = notebooks.read(notebooks.notebook_of(source))
    last = next(at for at, cell in enumerate(notebook.cells) if UNTIL in cell.source)
    notebook.cells = notebook.cells[: last + 1]
    mine = brought(lab.server.folder)
    for cell in notebook.cells:
        cell.source = cell.source.replace('MY_FILE = "appointments"', f"MY_FILE = {str(mine)!r}")
        cell.source = cell.source.replace("ENTITY = None", 'ENTITY = "customer"')
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path = lab.server.folder / "own_data.ipynb"
    nbformat.write(notebook, path)
    lab.open("own_data.ipynb")
    lab.run_all(300)
    assert lab.errors() == []
    lab.wait_for_text("Exact copies of an earlier row: 2 rows of 42")
    expect(lab.outputs("0 % by entity").first).to_be_visible()
    lab.screenshot(tmp_path / "own_data.png")
    path.unlink()
    mine.unlink()
