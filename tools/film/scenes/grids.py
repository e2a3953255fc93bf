"""A layer of 6 × 6 numbers that learns: W stays, B and A move, their product grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labs_lib.colors import PAPER
from tools.film.facts import Toy
from tools.film.parts import ADAPTER, BASE
from tools.film.shapes import Shape, Words, box, ease, faded, tint

CELL, TOP = 46, 520
LEFT = {"W": 48, "B": 440, "A": 570, "BA": 956}


def draw_training(now: float, at: Mapping[str, float], toy: Toy) -> list[Shape]:
    """Return the grids as they are after the step that the moment belongs to."""
    steps = len(toy.losses) - 1
    moved = ease(now, at["train"] + 0.5, at["product"] - at["train"] + 4.0)
    number = round(moved * steps)
    b, a = toy.factors[number]
    largest = max(abs(b_end @ a_end).max() for b_end, a_end in toy.factors[-1:])
    told = ease(now, at["product"], 0.6)
    return [
        *_grid(LEFT["W"], toy.weight, abs(toy.weight).max(), BASE),
        *_named("W, frozen", LEFT["W"], 6),
        Words(382, TOP - 3 * CELL, "+", 50, bold=True),
        *_grid(LEFT["B"], b, abs(toy.factors[-1][0]).max(), ADAPTER),
        *_named("B", LEFT["B"], 2),
        *_grid(LEFT["A"], a, abs(toy.factors[-1][1]).max(), ADAPTER, 2),
        *_named("A", LEFT["A"], 6),
        Words(901, TOP - 3 * CELL, "=", 44, bold=True),
        *_grid(LEFT["BA"], b @ a, largest, ADAPTER),
        *_named("B·A", LEFT["BA"], 6),
        *faded([Words(48, 160, f"step {number} of {steps}", 34, across="left")], _seen(now, at)),
        *faded(
            [Words(440, 160, f"error {toy.losses[number]:.3f}", 34, bold=True, across="left")],
            _seen(now, at),
        ),
        *faded([Words(LEFT["BA"] + 138, 160, "rank 2", 34)], told),
    ]


def _seen(now: float, at: Mapping[str, float]) -> float:
    return ease(now, at["train"], 0.6)


def _named(name: str, left: float, columns: int) -> list[Shape]:
    return [Words(left + columns * CELL / 2, TOP + 34, name, 34, bold=True)]


def _grid(left: float, values: Any, largest: float, color: str, rows_down: int = 0) -> list[Shape]:
    """Return a matrix as cells: the farther a number is from zero, the darker its cell."""
    cells: list[Shape] = []
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            strength = round(min(abs(float(value)) / largest, 1.0) * 24) / 24
            y = TOP - (row + rows_down + 1) * CELL
            fill = tint(color, strength) if strength else PAPER
            cells.append(box(left + column * CELL, y, CELL, CELL, fill, color, line=1.6))
    return cells
