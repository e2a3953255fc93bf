"""What a frame is made of: shapes with places in pixels, and how their values move in time.

A frame is 1280 × 720 pixels, y upwards.  The lowest `CAPTION_ZONE` pixels hold no words, since a
player shows the captions there.  Colors are those of `labs_lib.colors`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from labs_lib.colors import INK, PAPER
from labs_lib.colors import tint as tint

WIDTH, HEIGHT = 1280, 720
CAPTION_ZONE = 112
LEAST_SIZE = 28  # in pixels: 14 where the film is half as wide
MARGIN = 36

Point = tuple[float, float]


@dataclass(frozen=True)
class Words:
    """Text at a point; `size` is in pixels."""

    x: float
    y: float
    text: str
    size: float = 32
    color: str = INK
    bold: bool = False
    across: str = "center"
    alpha: float = 1.0


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    fill: str = PAPER
    edge: str = INK
    line: float = 2.0
    alpha: float = 1.0


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: tuple[Point, ...]
    color: str = INK
    line: float = 2.5
    dashed: bool = False
    alpha: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    fill: str
    alpha: float = 1.0


Shape = Words | Area | Line | Dot


def box(
    x: float, y: float, wide: float, high: float, fill: str = PAPER, edge: str = INK, **more: float
) -> Area:
    """Return a rectangle by its lower left corner."""
    corners = ((x, y), (x + wide, y), (x + wide, y + high), (x, y + high))
    return Area(corners, fill, edge, **more)


def ease(now: float, start: float, seconds: float = 0.8) -> float:
    """Return how far a movement is at a time: 0 before it, 1 after it, smooth between."""
    share = min(max((now - start) / seconds, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def between(one: float, other: float, share: float) -> float:
    """Return the value between two, by a share from 0 to 1."""
    return one + (other - one) * share


def along(points: tuple[Point, ...], share: float) -> Point:
    """Return the point of a path at a share of its length."""
    pieces = list(itertools.pairwise(points))
    lengths = [((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5 for a, b in pieces]
    left = share * sum(lengths)
    for (a, b), length in zip(pieces, lengths, strict=True):
        if left <= length:
            part = left / length if length else 0.0
            return between(a[0], b[0], part), between(a[1], b[1], part)
        left -= length
    return points[-1]


def faded(shapes: list[Shape], alpha: float) -> list[Shape]:
    """Return shapes with their opacity times `alpha`; none of them where nothing is left to see."""
    if alpha < 0.02:
        return []
    return [replace(shape, alpha=shape.alpha * alpha) for shape in shapes]
