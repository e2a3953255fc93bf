"""What the workbook's tests share: a course of one lesson whose author and student write cells."""

from __future__ import annotations

from pathlib import Path

import nbformat

from tools import notebooks

NAME = "02_tiny"
TEXT = """\
# %% [markdown]
# # 02 · Tiny
#
# ![A layer](images/layer.png)

# %%
# NBVAL_CHECK_OUTPUT
print("outcome 42")

# %%
predict("02.size", ...)  # of both

# %%
rank = 8

# %%
# exercise: 02.count
size = ...

# %%
check("02.count", size)
"""


def write_edition(course: Path, text: str = TEXT, name: str = NAME) -> Path:
    """Write a lesson as its author stores it: each code cell executed, with outputs and a picture.

    Returns the file.
    """
    source = course / "notebooks" / "source" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, encoding="utf-8")
    (course / "course.py").touch()
    notebook = notebooks.built_from(source)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        cell.outputs = [
            nbformat.v4.new_output("stream", name="stdout", text="outcome 42\n"),
            nbformat.v4.new_output("display_data", data={"image/svg+xml": "<svg>outcome</svg>"}),
        ]
    edition = notebooks.notebook_of(source)
    edition.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return edition


def replace_in(file: Path, *changes: tuple[str, str], run: bool = True) -> None:
    """Change a cell's text in a notebook, as a student does who then runs and saves it."""
    notebook = nbformat.read(file, as_version=4)
    for old, new in changes:
        cell = next(cell for cell in notebook.cells if old in cell.source)
        cell.source = cell.source.replace(old, new)
    for cell in notebook.cells if run else ():
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="mine\n")]
            cell.execution_count = 7
    nbformat.write(notebook, file)


def insert_after(file: Path, text: str, *cells: nbformat.NotebookNode) -> None:
    """Add a student's own cells after the first cell that holds a text."""
    notebook = nbformat.read(file, as_version=4)
    place = next(number for number, cell in enumerate(notebook.cells) if text in cell.source)
    notebook.cells[place + 1 : place + 1] = cells
    nbformat.write(notebook, file)


def sources_of(file: Path) -> list[str]:
    """Return the text of each cell; the notebook must be one that Jupyter takes."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    return [cell.source for cell in notebook.cells]
