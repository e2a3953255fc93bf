"""Item response theory for a large class, by the library `mirt`.

With fewer than two hundred students the slopes are mostly noise, and the classical figures say what
there is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_STUDENTS = 200
FEWEST_ITEMS = 5
NOT_ANSWERED = -1


@dataclass(frozen=True)
class ItemCurve:
    """An item on the scale of ability θ: P = 1 / (1 + exp(-slope · (θ - difficulty)))."""

    difficulty: float
    difficulty_error: float
    slope: float
    slope_error: float


@dataclass(frozen=True)
class ItemResponse:
    """The items' curves, with None for an item left out; where there are none, `note` says why."""

    note: str
    curves: tuple[ItemCurve | None, ...] = ()


def item_response(scores: Sequence[Sequence[int]]) -> ItemResponse:
    """Fit the two-parameter logistic model by marginal maximum likelihood.

    `scores` has a row a student: 1, 0, or `NOT_ANSWERED`. An item that all or none have right has
    no place on the scale and is left out.
    """
    table = np.asarray(scores, dtype=int)
    if len(table) < FEWEST_STUDENTS:
        return ItemResponse(f"{len(table)} students are too few; it takes {FEWEST_STUDENTS}.")
    varied = [n for n, column in enumerate(table.T) if {0, 1} <= set(column.tolist())]
    if len(varied) < FEWEST_ITEMS:
        return ItemResponse(f"{len(varied)} items with a right and a wrong answer are too few; it "
                            f"takes {FEWEST_ITEMS}.")  # fmt: skip
    if importlib.util.find_spec("mirt") is None:
        need = "pip install 'lora-lab[class]', from Python 3.11 on"
        return ItemResponse(f"Not fitted, since the library mirt is not installed: {need}.")
    from mirt import fit_mirt

    fit = fit_mirt(table[:, varied], model="2PL")
    if not fit.converged:
        return ItemResponse("The fit did not settle.")
    values, errors = fit.model.parameters, fit.standard_errors
    columns = [
        np.ravel(source[name]).tolist()
        for name in ("difficulty", "discrimination")
        for source in (values, errors)
    ]
    curves: list[ItemCurve | None] = [None] * table.shape[1]
    for place, numbers in zip(varied, zip(*columns, strict=True), strict=True):
        curves[place] = ItemCurve(*numbers)
    return ItemResponse("", tuple(curves))
