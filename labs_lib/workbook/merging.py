"""A student's work carried over into a newer text of the lesson.

Three notebooks meet, as in any three-way merge: the student's, the one that was laid, and the
author's new one. What differs between the first two is the student's work.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Hashable
from dataclasses import dataclass, field

from labs_lib.assessment.cells import exercise_of, prediction_of
from labs_lib.workbook.copies import unexecuted
from labs_lib.workbook.documents import Cell, Notebook

Key = tuple[str, Hashable]
# The ids that authors' cells get from their texts; what editors give a new cell looks different.
_AUTHORS_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Carried:
    """How many cells of each kind of the student's work came over, and how many could not.

    Fields:
        answers: cells of exercises.
        predictions: cells of predictions.
        edits: the author's other cells, where the author left them as they were.
        own: cells that the student added.
        left: cells whose place in the lesson is gone, or whose text the author changed too.
    """

    answers: int = 0
    predictions: int = 0
    edits: int = 0
    own: int = 0
    left: int = 0


@dataclass
class _Merge:
    """A new text that takes in a student's cells one by one, in their order."""

    cells: list[Cell]
    added: dict[int, list[Cell]] = field(default_factory=dict)
    place: int = -1  # of the author's cell that came last
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = _index(self.cells)

    def take(self, mine: Cell, laid: Cell) -> None:
        """Take a cell that the author had laid, and that the student may have changed."""
        place = next((self.places[key] for key in _keys(laid) if key in self.places), None)
        if place is not None:
            self.place = place
        if _text(mine) == _text(laid):
            return
        if place is None:
            self.count("left")
            return
        work = {part: mine[part] for part in ("source", "attachments") if part in mine}
        self.cells[place] = {**self.cells[place], **work}
        surest, _ = _keys(laid)[0]
        self.count({"exercise": "answers", "prediction": "predictions"}.get(surest, "edits"))

    def add(self, mine: Cell) -> None:
        """Take a cell that the student added: it goes where it was, after the same cell."""
        self.added.setdefault(self.place, []).append(unexecuted(mine))
        self.count("own")

    def count(self, kind: str) -> None:
        """Count a cell of the student's work."""
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def result(self) -> list[Cell]:
        """Return the new text's cells with the student's among them, each with an id of its own."""
        cells = list(self.added.get(-1, ()))
        for place, cell in enumerate(self.cells):
            cells += [cell, *self.added.get(place, ())]
        used = {cell.get("id") for cell in self.cells}
        authors = {id(cell) for cell in self.cells}
        for number, cell in enumerate(cells):
            if id(cell) not in authors:
                if cell.get("id") in used or "id" not in cell:
                    cells[number] = cell = {**cell, "id": secrets.token_hex(4)}
                used.add(cell["id"])
        return cells


def merged(mine: Notebook, laid: Notebook | None, new: Notebook) -> tuple[Notebook, Carried]:
    """Return the new text with the student's work in it, unexecuted, and what was carried.

    `laid` is the text that the student began with. Where it is not known, a cell that the author
    does not have now is left if its id says that it may have been the author's once.
    """
    merge = _Merge(list(new["cells"]))
    origins = (new if laid is None else laid)["cells"]
    for cell, origin in zip(mine["cells"], _origins(mine["cells"], origins), strict=True):
        if origin is not None:
            merge.take(cell, origin)
        elif not cell["source"].strip():
            continue
        elif laid is None and _may_be_the_authors(cell):
            merge.count("left")
        else:
            merge.add(cell)
    return {**new, "cells": merge.result()}, Carried(**merge.counts)


def _may_be_the_authors(cell: Cell) -> bool:
    """Return whether a cell may have been laid: it has an author's id, or an editor dropped it."""
    name = cell.get("id")
    return not isinstance(name, str) or _AUTHORS_ID.fullmatch(name) is not None


def _origins(cells: list[Cell], laid: list[Cell]) -> list[Cell | None]:
    """Return for each cell the laid one that it was; a laid cell is the origin of one cell.

    The cell's id tells, which editors keep; where an editor dropped it, the exercise's or the
    prediction's id, or the text.
    """
    origins: list[Cell | None] = [None] * len(cells)
    free = dict(enumerate(laid))
    for kind in ("id", "exercise", "prediction", "text"):
        by_key = {key: n for n, c in reversed(free.items()) for key in _keys(c) if key[0] == kind}
        for number, cell in enumerate(cells):
            if origins[number] is None:
                places = [by_key.get(key) for key in _keys(cell) if key[0] == kind]
                if places and places[0] in free:
                    origins[number] = free.pop(places[0])
    return origins


def _index(cells: list[Cell]) -> dict[Key, int]:
    """Return the first place of each key among some cells."""
    places: dict[Key, int] = {}
    for place, cell in enumerate(cells):
        for key in _keys(cell):
            places.setdefault(key, place)
    return places


def _keys(cell: Cell) -> list[Key]:
    """Return what a cell may be known by; the surest first."""
    keys: list[Key] = []
    if cell["cell_type"] == "code":
        if exercise := exercise_of(cell["source"]):
            keys.append(("exercise", exercise))
        if prediction := prediction_of(cell["source"]):
            keys.append(("prediction", prediction))
    if isinstance(cell.get("id"), str):
        keys.append(("id", cell["id"]))
    keys.append(("text", (cell["cell_type"], _text(cell))))
    return keys


def _text(cell: Cell) -> str:
    return cell["source"].strip()
