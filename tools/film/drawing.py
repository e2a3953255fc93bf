"""From shapes to pixels, by matplotlib."""

from __future__ import annotations

import functools
from typing import Any

from labs_lib.colors import PAPER
from tools.film.shapes import HEIGHT, WIDTH, Area, Dot, Line, Shape, Words


class Canvas:
    """A page of 1280 × 720 pixels that frames are drawn on, one after the other."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # 72 dots an inch: a point is a pixel.
        self.figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, facecolor=PAPER)
        self.canvas = FigureCanvasAgg(self.figure)

    def pixels(self, shapes: tuple[Shape, ...]) -> Any:
        """Return a frame's pixels: (720, 1280, 3), 8-bit red, green and blue."""
        self._put(shapes)
        self.canvas.draw()
        import numpy as np

        return np.ascontiguousarray(np.asarray(self.canvas.buffer_rgba())[:, :, :3])

    def boxes(self, shapes: tuple[Shape, ...]) -> list[tuple[Words, Any]]:
        """Return each text with the box that it takes, in pixels from the lower left."""
        drawn = self._put(shapes)
        renderer = self.canvas.get_renderer()
        return [
            (shape, artist.get_window_extent(renderer))
            for shape, artist in zip(shapes, drawn, strict=True)
            if isinstance(shape, Words)
        ]

    def _put(self, shapes: tuple[Shape, ...]) -> list[Any]:
        self.figure.clear()
        drawn = []
        for order, shape in enumerate(shapes):
            artist = _artist(shape)
            artist.set_zorder(order)
            drawn.append(self.figure.add_artist(artist))
        return drawn


@functools.singledispatch
def _artist(shape: Any) -> Any:
    raise TypeError(f"no artist draws a {type(shape).__name__}")


@_artist.register
def _(shape: Words) -> Any:
    from matplotlib.text import Text

    return Text(
        shape.x / WIDTH, shape.y / HEIGHT, shape.text, fontsize=shape.size, color=shape.color,
        fontweight="bold" if shape.bold else "normal", ha=shape.across, va="center",
        alpha=shape.alpha, fontfamily="DejaVu Sans",
    )  # fmt: skip


@_artist.register
def _(shape: Area) -> Any:
    from matplotlib.patches import Polygon

    return Polygon(
        _shares(shape.points), closed=True, facecolor=shape.fill, edgecolor=shape.edge,
        linewidth=shape.line, alpha=shape.alpha, joinstyle="round",
    )  # fmt: skip


@_artist.register
def _(shape: Line) -> Any:
    from matplotlib.lines import Line2D

    across, up = zip(*_shares(shape.points), strict=True)
    return Line2D(
        across, up, color=shape.color, linewidth=shape.line, alpha=shape.alpha,
        linestyle="--" if shape.dashed else "-", solid_capstyle="round", solid_joinstyle="round",
    )  # fmt: skip


@_artist.register
def _(shape: Dot) -> Any:
    from matplotlib.patches import Ellipse

    return Ellipse(
        (shape.x / WIDTH, shape.y / HEIGHT), 2 * shape.radius / WIDTH, 2 * shape.radius / HEIGHT,
        facecolor=shape.fill, edgecolor="none", alpha=shape.alpha,
    )  # fmt: skip


def _shares(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [(x / WIDTH, y / HEIGHT) for x, y in points]
