"""Parts that several scenes draw: a bar of memory, its legend, a card's line, a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labs_lib.colors import INK, MEMORY_COLORS, PAPER
from tools.film.shapes import Area, Line, Shape, Words, box, ease, faded, tint

BASE, ADAPTER = MEMORY_COLORS["weights"], MEMORY_COLORS["adapter"]
# A bar is stacked in this order.
KINDS = ("weights", "gradients", "optimizer", "adapter", "activations", "temporary")


def parts_of(step: Mapping[str, float]) -> dict[str, float]:
    """Return a step's GB in the order of a bar."""
    return {kind: step.get(kind, 0.0) for kind in KINDS}


def bar(
    x: float, y: float, parts: Mapping[str, float], scale: float, high: float = 46
) -> list[Shape]:
    """Return a bar of stacked parts, `scale` pixels a unit, each in its color."""
    drawn: list[Shape] = []
    for kind, size in parts.items():
        if size * scale > 0.3:
            color = MEMORY_COLORS[kind]
            drawn.append(box(x, y, size * scale, high, color, PAPER, line=0.8))
            x += size * scale
    return drawn


def row(
    x: float,
    y: float,
    label: str,
    parts: Mapping[str, float],
    scale: float,
    total: str = "",
    clear: float = 0.0,
) -> list[Shape]:
    """Return a bar with its name above it and its total behind it, right of `clear`."""
    end = max(x + sum(parts.values()) * scale, clear)
    shapes: list[Shape] = [Words(x, y + 66, label, 30, across="left"), *bar(x, y, parts, scale)]
    if total:
        shapes.append(Words(end + 14, y + 23, total, 34, bold=True, across="left"))
    return shapes


def legend(y: float, alphas: Mapping[str, float]) -> list[Shape]:
    """Return the names of the parts in the order given, each with its color and its opacity."""
    shapes: list[Shape] = []
    x = 48.0
    for kind, alpha in alphas.items():
        named = [
            box(x, y - 12, 24, 24, MEMORY_COLORS[kind], PAPER),
            Words(x + 34, y, kind, 28, across="left"),
        ]
        shapes += faded(named, alpha)
        x += 66 + 16 * len(kind)
    return shapes


def stage(now: float, start: float, end: float | None = None) -> float:
    """Return the opacity of what is shown from one moment to another.

    It is gone at the end, where what follows begins to appear: two are never seen at once.
    """
    leaves = 0.0 if end is None else ease(now, end - 0.4, 0.4)
    return ease(now, start, 0.5) * (1 - leaves)


def scaled_parts(parts: Mapping[str, float], share: float) -> dict[str, float]:
    """Return a bar's parts while it grows: each times `share`."""
    return {kind: size * share for kind, size in parts.items()}


def mixed_parts(
    one: Mapping[str, float], other: Mapping[str, float], share: float
) -> dict[str, float]:
    """Return a bar's parts on the way from one bar to another."""
    return {kind: one[kind] + (other[kind] - one[kind]) * share for kind in one}


def frozen(x: float, y: float, wide: float, high: float, words: str = "") -> list[Shape]:
    """Return a frozen matrix: grey, with its name."""
    shapes: list[Shape] = [box(x, y, wide, high, tint(BASE), BASE, line=4)]
    if words:
        shapes.append(Words(x + wide / 2, y + high / 2, words, 34, bold=True))
    return shapes


def funnel(x: float, y: float, wide: float, start: float, end: float) -> Area:
    """Return a trained matrix as a shape that is as high at each side as the numbers there."""
    corners = (
        (x, y - start / 2), (x, y + start / 2), (x + wide, y + end / 2), (x + wide, y - end / 2),
    )  # fmt: skip
    return Area(corners, tint(ADAPTER), ADAPTER, line=4)


def tick(x: float, y: float, right: bool, size: float = 30) -> Line:
    """Return a check mark, or a cross."""
    half = size / 2
    if right:
        points = ((x - half, y), (x - half / 4, y - half), (x + half, y + half))
        return Line(points, MEMORY_COLORS["activations"], 6)
    points = ((x - half, y - half), (x + half, y + half), (x, y), (x - half, y + half),
              (x + half, y - half))  # fmt: skip
    return Line(points, MEMORY_COLORS["gradients"], 6)


def card_line(x: float, rows: Sequence[float], words_y: float, words: str) -> list[Shape]:
    """Return the line at which a card is full, across bars whose lower edges are given."""
    pieces: list[Shape] = [Line(((x, y - 9), (x, y + 50)), INK, 4) for y in rows]
    return [*pieces, Words(x + 14, words_y, words, 30, across="left")]
