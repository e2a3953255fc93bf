"""A lesson as a student opens it: the author's text, and nothing yet of what comes out."""

from __future__ import annotations

import re
from pathlib import Path

from labs_lib.workbook.documents import Cell, Notebook, read_notebook, written

HIDDEN_INPUT = "hide-input"  # Jupyter Book's tag for a cell whose code is folded away
_NBVAL_LINE = re.compile(r"^[ \t]*#[ \t]*(?:NBVAL_|PYTEST_VALIDATE_)\w*.*(?:\n|\Z)", re.MULTILINE)
_NBVAL_TAG = re.compile(r"nbval-|raises-exception$")
# A file that the text shows or links: `![](images/x.png)`, `<img src="images/x.png">`.
_TARGET = re.compile(r"""\]\(\s*<?(?P<link>[^)>\s]+)|\bsrc=["'](?P<src>[^"']+)["']""")


def student_copy(edition: Notebook) -> Notebook:
    """Return a notebook without outputs, execution counts and notes to nbval.

    The code of a cell with the tag `hide-input` is folded; one click opens it.
    """
    return {**edition, "cells": [_without_outcome(cell) for cell in edition["cells"]]}


def _without_outcome(cell: Cell) -> Cell:
    tags = [tag for tag in cell["metadata"].get("tags", ()) if not _NBVAL_TAG.match(tag)]
    metadata: dict[str, object] = {"tags": tags} if tags else {}
    if cell["cell_type"] != "code":
        return {**cell, "metadata": metadata}
    if HIDDEN_INPUT in tags:
        metadata["jupyter"] = {"source_hidden": True}
    source = _NBVAL_LINE.sub("", cell["source"]).strip("\n")
    return unexecuted({**cell, "source": source, "metadata": metadata})


def unexecuted(cell: Cell) -> Cell:
    """Return a cell as if it had not run yet."""
    if cell["cell_type"] != "code":
        return cell
    return {**cell, "outputs": [], "execution_count": None}


def copy_text(edition: Path) -> str:
    """Return the text of the student's copy of an edition."""
    return written(student_copy(read_notebook(edition)))


def files_shown(edition: Path) -> list[Path]:
    """Return the files beside an edition, or in folders there, that its text shows or links.

    Paths are relative to the edition's folder. Other lessons are not among them.
    """
    found: dict[Path, None] = {}
    for cell in read_notebook(edition)["cells"]:
        if cell["cell_type"] == "markdown":
            for match in _TARGET.finditer(cell["source"]):
                target = Path((match["link"] or match["src"]).partition("#")[0])
                inside = not target.is_absolute() and ".." not in target.parts
                if inside and target.suffix != ".ipynb" and (edition.parent / target).is_file():
                    found[target] = None
    return list(found)
