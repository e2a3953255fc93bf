"""Small matrices in a still picture, number by number, as an instrument's module draws them."""

from __future__ import annotations

from collections.abc import Sequence

from labs_lib.colors import PAGE_COLORS
from labs_lib.widgets.instrument import label, rect


def cells(
    matrix: Sequence[Sequence[float]],
    x: float,
    y: float,
    cell: tuple[float, float],
    *,
    grey: bool = False,
    limit: float = 1.0,
) -> str:
    """Return SVG of a matrix, its top left corner at (x, y): blue below zero, orange above.

    `cell` is the width and height of one, `grey` takes shades of grey, `limit` has the full color.
    """
    wide, high = cell
    parts = []
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            left, top = x + column * wide, y + row * high
            fill = mixed(value / limit, grey=grey)
            parts.append(rect(left, top, wide - 1, high - 1, fill))
            middle = left + (wide - 1) / 2
            style = "font-size:10.5px"
            parts.append(label(middle, top + high - 6, short(value), anchor="middle", style=style))
    return "".join(parts)


def short(value: float) -> str:
    """Return a number in at most four characters: ".35", "−.35", "1.2", "2"."""
    size = abs(value)
    text = f"{round(size, 1 if size >= 0.995 else 2):g}"
    shown = text.removeprefix("0") if "." in text else text
    return f"−{shown}" if shown != "0" and value < 0 else shown


def mixed(share: float, *, grey: bool = False) -> str:
    """Return the color of a share from −1 to 1, on the light theme's scale."""
    end = "base" if grey else "negative" if share < 0 else "positive"
    part = min(1.0, abs(share)) * (0.6 if grey else 1)
    ends = [
        [int(PAGE_COLORS[name][0][at : at + 2], 16) for at in (1, 3, 5)] for name in ("zero", end)
    ]
    channels = [round(low + (high - low) * part) for low, high in zip(*ends, strict=True)]
    return f"rgb({','.join(map(str, channels))})"
