"""The NF4 line: where one weight snaps to, and what is left of an update that is merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import traitlets

from labs_lib.colors import BLUE, GREY, ORANGE, THEME_FAINT, THEME_INK, THEME_LINE
from labs_lib.quantization import MergedWeight, merge_update
from labs_lib.widgets.instrument import label, svg
from labs_lib.widgets.page import PageInstrument

BOOKS = ("nf4", "int4")
_OUTERMOST = 1.84813  # standard deviations at ±1: the quantile of NF4_OUTERMOST
_TWO_HALVES = ("nf4",)  # books that are cut into equal slices on either side of 0
_WIDTH, _PAD = 640, 14
_TOP, _AXIS, _WEIGHT_ROW, _CODE_ROW = 22, 128, 162, 214
_ZOOM_TOP, _FOUR_BIT_ROW, _SEEN = 262, 318, 0.34
_SIXTEEN_BIT_ROW = 372


class NF4Line(PageInstrument):
    """A weight that is dragged along the sixteen values of NF4 and snaps to the nearest.

    `NF4Line(merging=True)` adds an update to the restored weight: in 4 bits the sum snaps again, in
    16 bits it is rounded to bf16.  What 4 bits keep of all weights of a layer, `NF4Explorer` shows.
    """

    name = "nf4_line"
    state = ("book", "weight", "absmax", "update", "merging", "books")

    book: Any = traitlets.Enum(BOOKS, "nf4", help='it is "nf4" or "int4"').tag(sync=True)
    weight: Any = traitlets.Float(0.12, help="a number from -absmax to absmax").tag(sync=True)
    absmax: Any = traitlets.Float(0.5, help="the largest |weight| of the block").tag(sync=True)
    update: Any = traitlets.Float(0.004, help="what is added to the weight").tag(sync=True)
    merging: Any = traitlets.Bool(False, help="whether an update is merged").tag(sync=True)
    books: Any = traitlets.Dict(help="the code books by name: values and shares").tag(sync=True)

    def __init__(self, **state: Any):
        """Take the state by trait name, and the course's code books unless it brings them."""
        if "books" not in state:
            state["books"] = _books()
        super().__init__(**state)

    def figures(self) -> dict[str, Any]:
        """Return code, value and borders before and after the update; infinity is None."""
        return {key: _finite(value) for key, value in asdict(self._merged()).items()}

    def line(self) -> str:
        """Return the weight's code, and what becomes of the update."""
        merged = self._merged()
        before = merged.before
        said = (
            f"weight {self.weight:.3f} ÷ absmax {self.absmax:g} = {self.weight / self.absmax:.3f}; "
            f"nearest of {len(self._values)} values: {before.value:.4f} (code {before.code}), "
            f"restored {before.restored:.4f}"
        )
        if not self.merging:
            return f"{said}\n{self._slices()}"
        moved = merged.end_16 - merged.start_16
        return (
            f"{said}\nupdate {self.update:.4f}: code {merged.after.code}, moved by "
            f"{merged.kept:.4f} in 4 bits and by {moved:.4f} in 16"
        )

    def picture(self) -> str:
        """Return the bell, the codes and the weight; with `merging` the update below them."""
        merged = self._merged()
        parts = [*_bell(self._values), *_snap(merged, self.weight / self.absmax, self._values)]
        if self.merging:
            parts += _merge(merged, self.update, self.absmax, self._values)
        return svg(_WIDTH, 392 if self.merging else 246, "".join(parts), self.line())

    @property
    def _values(self) -> list[float]:
        return self.books[self.book]["values"]

    def _slices(self) -> str:
        shares = self.books[self.book]["shares"]
        if self.book in _TWO_HALVES:
            return (
                f"a bell curve cut at them: the slices above 0 have {shares[-1]:.1%} of the "
                f"weights each, those below {shares[0]:.1%}"
            )
        least, most = min(shares), max(shares)
        return f"a bell curve cut at them: from {least:.1%} to {most:.1%} of the weights each"

    def _merged(self) -> MergedWeight:
        update = self.update if self.merging else 0.0
        return merge_update(self.weight, update, self.absmax, self._values)


def _books() -> dict[str, Any]:
    from labs_lib.quantization import codebook, slice_shares  # they load torch

    made = {}
    for name in BOOKS:
        book = codebook(name)
        shares = [round(share, 6) for share in slice_shares(book)]
        made[name] = {"values": book.tolist(), "shares": shares}
    return made


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def _across(value: float) -> float:
    return _PAD + (value + 1.2) / 2.4 * (_WIDTH - 2 * _PAD)


def _bell(values: Sequence[float]) -> list[str]:
    def curve(low: float, high: float) -> list[str]:
        steps = max(2, math.ceil((high - low) * 60))
        places = [low + (high - low) * step / steps for step in range(steps + 1)]
        return [f"{_across(place):.1f},{_height(place):.1f}" for place in places]

    parts = [label(_PAD, 14, "Weights of a layer, as a bell curve cut at the codes")]
    for number, (low, high) in enumerate(pairwise(values)):
        edge = [f"{_across(low):.1f},{_AXIS}", *curve(low, high), f"{_across(high):.1f},{_AXIS}"]
        look = f"fill:{GREY};fill-opacity:{0.28 if number % 2 else 0.55}"
        parts.append(f'<polygon points="{" ".join(edge)}" style="{look}"/>')
    look = f"fill:none;stroke:{THEME_INK};stroke-width:1.5"
    parts.append(f'<polyline points="{" ".join(curve(-1.2, 1.2))}" style="{look}"/>')
    parts.append(_line(_PAD, _AXIS, _WIDTH - _PAD, _AXIS, THEME_LINE))
    for value in values:
        parts.append(_line(_across(value), _AXIS, _across(value), _AXIS + 6, THEME_INK))
    for value, words in ((-1, "−1"), (0, "0"), (1, "1")):
        parts.append(label(_across(value), _AXIS + 19, words, anchor="middle", fill=THEME_FAINT))
    return parts


def _height(value: float) -> float:
    return _AXIS - (_AXIS - _TOP - 6) * math.exp(-((value * _OUTERMOST) ** 2) / 2)


def _snap(merged: MergedWeight, scaled: float, values: Sequence[float]) -> list[str]:
    at, to = _across(scaled), _across(merged.before.value)
    middle = (_WEIGHT_ROW + _CODE_ROW) / 2
    parts = [_line(_PAD, _CODE_ROW, _WIDTH - _PAD, _CODE_ROW, THEME_LINE)]
    curve = f"M{at:.1f} {_WEIGHT_ROW} C {at:.1f} {middle}, {to:.1f} {middle}, {to:.1f} {_CODE_ROW}"
    parts.append(f'<path d="{curve}" style="fill:none;stroke:{BLUE};stroke-width:2"/>')
    for code, value in enumerate(values):
        own = code == merged.before.code
        parts.append(_dot(_across(value), _CODE_ROW, own))
        if own or (code in (0, len(values) - 1) and abs(code - merged.before.code) > 2):
            words = f"code {code}" if own else str(code)
            parts.append(label(_across(value), _CODE_ROW + 20, words, anchor="middle"))
    parts.append(f'<circle cx="{at:.1f}" cy="{_WEIGHT_ROW}" r="8" style="fill:{BLUE}"/>')
    return parts


def _merge(
    merged: MergedWeight, update: float, absmax: float, values: Sequence[float]
) -> list[str]:
    middle, half = merged.before.restored, _SEEN * absmax

    def across(weight: float) -> float:
        share = max(-1.0, min(1.0, (weight - middle) / half))
        return _WIDTH / 2 + share * (_WIDTH / 2 - _PAD)

    parts = [label(_PAD, _ZOOM_TOP, "Merged in 4 bits (enlarged)")]
    for edge in (merged.before.lowest, merged.before.highest):
        if abs(edge - middle) <= half:
            place = across(edge)
            parts.append(_line(place, _ZOOM_TOP + 10, place, _FOUR_BIT_ROW + 6, THEME_INK, "4 3"))
    parts.append(_line(_PAD, _FOUR_BIT_ROW, _WIDTH - _PAD, _FOUR_BIT_ROW, THEME_LINE))
    for code, value in enumerate(values):
        if abs(value * absmax - middle) <= half:
            place = across(value * absmax)
            parts.append(_dot(place, _FOUR_BIT_ROW, code == merged.after.code))
            parts.append(label(place, _FOUR_BIT_ROW + 20, str(code), anchor="middle"))
    start, arrow_row = across(middle), _FOUR_BIT_ROW - 20
    sum_at, end = across(middle + update), across(merged.after.restored)
    parts += _arrow(start, sum_at, arrow_row)
    parts.append(_line(sum_at, arrow_row, end, _FOUR_BIT_ROW - 8, BLUE))
    parts.append(label(_PAD, _SIXTEEN_BIT_ROW - 14, "Merged in 16 bits"))
    parts.append(_line(_PAD, _SIXTEEN_BIT_ROW, _WIDTH - _PAD, _SIXTEEN_BIT_ROW, THEME_LINE))
    moved = across(middle + merged.end_16 - merged.start_16)
    parts.append(_dot(start, _SIXTEEN_BIT_ROW, False))
    parts += _arrow(start, moved, _SIXTEEN_BIT_ROW)
    parts.append(_dot(moved, _SIXTEEN_BIT_ROW, True))
    return parts


def _arrow(start: float, end: float, y: float) -> list[str]:
    size = math.copysign(min(8.0, abs(end - start)), end - start)
    head = f"{end:.1f},{y:g} {end - size:.1f},{y - 5:g} {end - size:.1f},{y + 5:g}"
    look = f"fill:{ORANGE}"
    return [
        _line(start, y, end - size / 2, y, ORANGE, width=4),
        f'<polygon points="{head}" style="{look}"/>',
    ]


def _dot(x: float, y: float, own: bool) -> str:
    look = THEME_INK if own else GREY
    return f'<circle cx="{x:.1f}" cy="{y:g}" r="{6 if own else 3.5:g}" style="fill:{look}"/>'


def _line(
    x1: float, y1: float, x2: float, y2: float, color: str, dash: str = "", width: float = 1.5
) -> str:
    dashed = f";stroke-dasharray:{dash}" if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}" '
        f'style="stroke:{color};stroke-width:{width:g}{dashed}"/>'
    )
