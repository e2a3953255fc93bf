"""Notebook files (nbformat 4) as plain JSON: read within bounds, written as Jupyter writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labs_lib.jsons import parse_json, read_json
from labs_lib.texts import UnreadableError

# A student's notebook holds its outputs: pictures, films, long listings.
MOST_BYTES = 500 * 2**20

Cell = dict[str, Any]
Notebook = dict[str, Any]


def read_notebook(path: Path) -> Notebook:
    """Return a notebook; the source of each cell is one text.

    Raises `UnreadableError` for a file that is no notebook of format 4.
    """
    return _checked(path, read_json(path, MOST_BYTES, allow_nan=True))


def parse_notebook(path: Path, content: bytes) -> Notebook:
    """Return the notebook that a file's content is, as `read_notebook` does; `path` names it."""
    return _checked(path, parse_json(path, content, allow_nan=True))


def _checked(path: Path, content: Any) -> Notebook:
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list) or content.get("nbformat") != 4:
        raise UnreadableError(path, "it is not a notebook of format 4")
    return {**content, "cells": [_read_cell(path, number, c) for number, c in enumerate(cells, 1)]}


def _read_cell(path: Path, number: int, cell: Any) -> Cell:
    """Return a cell whose source is one text; nbformat also stores it as a list of lines."""
    known = isinstance(cell, dict) and isinstance(cell.get("cell_type"), str)
    source = cell.get("source") if known else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise UnreadableError(path, f"cell {number} has no text")
    metadata = cell.get("metadata")
    return {**cell, "source": source, "metadata": metadata if isinstance(metadata, dict) else {}}


def work_in(notebook: Notebook) -> list[tuple[Any, ...]]:
    """Return what a person may have worked on, cell by cell; editors rewrite all the rest."""
    parts = ("cell_type", "source", "outputs", "execution_count", "attachments")
    return [tuple(cell.get(part) or None for part in parts) for cell in notebook["cells"]]


def written(notebook: Notebook) -> str:
    """Return a notebook as the text of its file."""
    cells = [{**c, "source": c["source"].splitlines(keepends=True)} for c in notebook["cells"]]
    content = {**notebook, "cells": cells}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
