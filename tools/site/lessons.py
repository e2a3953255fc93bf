"""A lesson as a page to read: its notebook with outcomes folded and without what needs a kernel."""

from __future__ import annotations

import copy
import html
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from tools.site.cells import Cell, Kind, is_bare_call, kind_of
from tools.site.folding import Fold, folds

INSTRUMENT = "application/vnd.lora-lab.instrument+json"
# Jupyter Book's tags, which MyST-NB knows.
REMOVE_INPUT, HIDE_INPUT = "remove-input", "hide-input"
# What a reader sees without a kernel says nothing of a prediction that nobody could make.
NO_PREDICTION = "You made no prediction. "

Fragment = Callable[[str, dict[str, Any]], str]


def reading_page(notebook: Any, badges: str, fragment: Fragment) -> Any:
    """Return a lesson's notebook as Sphinx is to show it; the given one stays as it is.

    `badges` is HTML that stands under the title; `fragment(name, state)` returns the HTML of an
    instrument that runs in the page.
    """
    page = copy.deepcopy(notebook)
    cells = _for_readers(page.cells)
    kinds: list[Kind] = [kind_of(cell) for cell in cells]
    opened = {fold.start: fold for fold in folds(kinds)}
    closed = {fold.end for fold in opened.values()}
    page.cells = []
    for index, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
        if index in closed:
            page.cells.append(_markdown("</details>"))
        if index in opened:
            page.cells.append(_markdown(_opening(opened[index])))
        if kind == "predict":
            page.cells.append(_markdown(_field(cell, _number(index, kinds))))
        else:
            page.cells.append(_shown(cell, fragment))
    if len(cells) in closed:
        page.cells.append(_markdown("</details>"))
    title, _, rest = page.cells[0].source.partition("\n")
    page.cells[0].source = f"{title}\n\n{badges}\n{rest}"
    return page


def _for_readers(cells: list[Cell]) -> list[Cell]:
    """Return the cells without those that only a kernel answers, and what announces them."""
    kept: list[Cell] = []
    for cell in cells:
        if kind_of(cell) != "kernel only":
            kept.append(cell)
        elif "review" in cell.source and kept[-1].source.startswith("## Before you start"):
            kept.pop()
    return kept


def _markdown(text: str) -> Cell:
    import nbformat

    return nbformat.v4.new_markdown_cell(text)


def _opening(fold: Fold) -> str:
    return (
        f'<details class="lab-fold" data-group="{fold.group}">'
        f"<summary>{html.escape(fold.summary)}</summary>"
    )


def _field(cell: Cell, number: int) -> str:
    """Return a field for a prediction; what is typed stays in the page.

    Of several that follow each other, as their questions do, each has a number from 1; 0 is alone.
    """
    choices = cell.source.rpartition("#")[2].strip() if "#" in cell.source else ""
    hint = f' <span class="lab-choices">{html.escape(choices)}</span>' if choices else ""
    return (
        f'<label class="lab-prediction">Your prediction{f" {number}" if number else ""} '
        f'<input type="text" autocomplete="off">{hint}</label>'
    )


def _number(index: int, kinds: Sequence[Kind]) -> int:
    """Return a prediction's place among those that follow each other, 0 for a single one."""
    before = len(list(itertools.takewhile(lambda kind: kind == "predict", kinds[index - 1 :: -1])))
    followed = index + 1 < len(kinds) and kinds[index + 1] == "predict"
    return before + 1 if before or followed else 0


def _shown(cell: Cell, fragment: Fragment) -> Cell:
    """Return a cell with the tags and outputs that a page needs."""
    if cell.cell_type != "code":
        cell.source = _TO_FILM.sub("](film.md)", cell.source)
        return cell
    cell.outputs = [_output(output, fragment) for output in cell.outputs]
    tags = list(cell.metadata.get("tags", ()))
    if any(output.get("data") == {"text/html": _FILM} for output in cell.outputs):
        tags = [REMOVE_INPUT]
    elif kind_of(cell) == "imports":
        tags.append(HIDE_INPUT)
    elif kind_of(cell) in ("compare", "claim", "task") and is_bare_call(cell):
        tags.append(REMOVE_INPUT)
    cell.metadata["tags"] = tags
    cell.source = _NOTES_TO_TOOLS.sub("", cell.source)
    return cell


# The film has a page of its own here, with the captions that a file beside a page cannot give.
_TO_FILM = re.compile(r"\]\(\.\./film/[\w.]+\)")
_FILM_IN_PLACE = 'src="../film/'
_FILM = '<p><a href="film.html">Watch the film</a>, with its captions and its transcript.</p>'
_NOTES_TO_TOOLS = re.compile(r"^# NBVAL_\w+\n|  # fmt: skip$", re.MULTILINE)


def _output(output: Any, fragment: Fragment) -> Any:
    """Return an output in the one form that the page shows: HTML, or else text."""
    data = output.get("data")
    if data is None:
        return output
    if INSTRUMENT in data:
        instrument = data[INSTRUMENT]
        output.data = {"text/html": fragment(instrument["name"], instrument["state"])}
    elif _FILM_IN_PLACE in data.get("text/html", ""):
        output.data = {"text/html": _FILM}
    elif "text/html" in data:
        output.data = {"text/html": data["text/html"].replace(NO_PREDICTION, "")}
    else:
        output.data = {"text/plain": data.get("text/plain", "").replace(NO_PREDICTION, "")}
    return output
