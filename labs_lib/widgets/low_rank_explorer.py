"""Drag the rank, and see what the best approximation keeps: of a picture, a weight, an update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from labs_lib.colors import BLUE, ORANGE, THEME_FAINT, THEME_LINE, THEME_PANEL
from labs_lib.errors import LabError, choice_error
from labs_lib.lowrank.decomposition import Factorisation, as_matrix, effective_rank, factorise
from labs_lib.lowrank.knobs import check_rank
from labs_lib.widgets.heatmap import Thumbnail, grey_png, heat_png
from labs_lib.widgets.instrument import Instrument, Rows, image, label, svg
from labs_lib.widgets.rank_alpha import percent

PICTURE = "a picture"


@dataclass(frozen=True)
class LowRankFigures:
    """What rank `rank` keeps of a matrix (d_out, d_in), and what its two factors cost.

    `break_even` is the rank from which the factors hold as many numbers as the matrix.
    """

    source: str
    d_out: int
    d_in: int
    rank: int
    kept: float
    relative_error: float
    factor_numbers: int
    matrix_numbers: int
    break_even: float
    effective_rank: float


def low_rank_figures(source: str, parts: Factorisation, rank: int) -> LowRankFigures:
    """Return the figures of the best rank-`rank` approximation; `LabError` for an illegal rank."""
    d_out, d_in = parts.shape
    check_rank(rank, d_out, d_in, source)
    return LowRankFigures(
        source=source,
        d_out=d_out,
        d_in=d_in,
        rank=int(rank),
        kept=parts.energy_kept(rank),
        relative_error=parts.relative_error(rank),
        factor_numbers=int(rank) * (d_out + d_in),
        matrix_numbers=d_out * d_in,
        break_even=d_out * d_in / (d_out + d_in),
        effective_rank=effective_rank(parts.spectrum),
    )


class LowRankExplorer(Instrument):
    """A rank slider over matrices of your own; each is decomposed once, when it is handed in.

    `sources` maps a name to a matrix (d_out, d_in): a real weight, a trained ΔW. A built-in
    picture comes first. Raises `LabError` for what is no finite matrix.
    """

    heading = "Low-rank explorer"
    css_class = "lab-low-rank-explorer"
    state = ("source", "rank")

    source: Any = traitlets.Unicode(PICTURE)
    rank: Any = traitlets.Int(8)

    def __init__(self, sources: Mapping[str, Any] | None = None, **state: Any):
        matrices = {PICTURE: sample_picture(), **(sources or {})}
        self._sources = {name: _Source(name, matrix) for name, matrix in matrices.items()}
        super().__init__(**state)

    def controls(self) -> list[ipywidgets.Widget]:
        """Return the choice of what to look at, and the rank."""
        source = self.bind(
            "source", ipywidgets.Dropdown(options=list(self._sources), description="matrix")
        )
        rank = ipywidgets.IntSlider(
            min=1,
            max=self._largest(),
            description="rank r",
            layout=ipywidgets.Layout(width="560px", max_width="98%"),
        )
        # The slider's end follows the matrix before the matrix is drawn.
        self.observe(lambda _: setattr(rank, "max", self._largest()), names="source")
        return [source, self.bind("rank", rank)]

    def compute(self) -> LowRankFigures:
        """Return `low_rank_figures` of the present source and rank."""
        if self.source not in self._sources:
            raise choice_error("source", self.source, self._sources)
        return low_rank_figures(self.source, self._sources[self.source].parts, self.rank)

    def rows(self, figures: LowRankFigures) -> Rows:
        """Energy kept, error, numbers stored, and how many directions the matrix uses."""
        cost = figures.factor_numbers / figures.matrix_numbers
        return [
            (f"‖W‖² kept at rank {figures.rank}", percent(figures.kept)),
            ("relative error ‖W − W_r‖ / ‖W‖", f"{figures.relative_error:.4f}"),
            (
                f"numbers in the two factors, {figures.rank} × ({figures.d_out} + {figures.d_in})",
                f"{figures.factor_numbers:,} ({percent(cost)} of {figures.matrix_numbers:,})",
            ),
            ("rank from which factors cost more than W", f"{math.floor(figures.break_even) + 1}"),
            (
                f"effective rank, of at most {min(figures.d_out, figures.d_in)}",
                f"{figures.effective_rank:.1f}",
            ),
        ]

    def picture(self, figures: LowRankFigures) -> str:
        """Draw W, its best approximation and the difference; below, spectrum and error."""
        return self._sources[figures.source].draw(figures, self.line(figures))

    def line(self, figures: LowRankFigures) -> str:
        """Return the figures in one line."""
        return (
            f"{figures.source} ({figures.d_out} × {figures.d_in}) at rank {figures.rank}: "
            f"keeps {percent(figures.kept)}, relative error {figures.relative_error:.4f}, "
            f"{figures.factor_numbers:,} numbers instead of {figures.matrix_numbers:,}"
        )

    def _largest(self) -> int:
        known = self._sources.get(self.source)
        return known.parts.largest_rank if known else 1


class _Source:
    """One matrix, decomposed, with every part of its drawing that the rank leaves alone."""

    def __init__(self, name: str, matrix: Any):
        try:
            self.parts = factorise(as_matrix(matrix))
        except LabError as error:
            raise LabError(f"sources[{name!r}]: {error}") from None
        self.seen = Thumbnail(self.parts, pixels=160)
        self.as_picture = name == PICTURE
        self.full_png = self._png(self.seen.full)
        squares = np.square(self.parts.spectrum.astype(float))
        left = np.sqrt(np.maximum(0.0, squares.sum() - np.cumsum(squares)) / (squares.sum() or 1))
        self.spectrum_path = _curve(np.log10(_floored(self.parts.spectrum)), 40, 232, 310, 110)
        self.error_path = _curve(left, 430, 232, 310, 110, low=0.0, high=1.0)

    def _png(self, grid: np.ndarray) -> bytes:
        return grey_png(grid) if self.as_picture else heat_png(grid, self.seen.limit)

    def draw(self, figures: LowRankFigures, words: str) -> str:
        cut = self.seen.at(figures.rank)
        difference = self.seen.full - cut
        gone = heat_png(difference, self.seen.limit)
        height, width = self.seen.full.shape
        scale = min(230 / width, 160 / height)
        wide, high = width * scale, height * scale
        step = self.seen.step
        note = f"drawn: one row and column in {step}" if step > 1 else ""
        panels = (
            (f"W, {figures.d_out} × {figures.d_in}", self.full_png),
            (f"best approximation of rank {figures.rank}", self._png(cut)),
            ("what is lost (blue below 0, orange above)", gone),
        )
        body = "".join(
            label(x, 14, title) + image(x, 22, wide, high, png)
            for x, (title, png) in zip((4, 260, 516), panels, strict=True)
        )
        body += label(4, 22 + high + 15, note, fill=THEME_FAINT)
        body += self._chart(figures, 40, "singular values σ (log scale)", self.spectrum_path, 336)
        clear = 246 if figures.relative_error < 0.5 else 336  # on the curve's other side
        body += self._chart(figures, 430, "relative error by rank", self.error_path, clear)
        top = float(self.parts.spectrum[0])
        low = float(_floored(self.parts.spectrum)[-1])
        body += label(36, 242, f"{top:.2g}", anchor="end", fill=THEME_FAINT)
        body += label(
            36, 342, f"{low:.0e}" if low < 0.01 else f"{low:.2g}", anchor="end", fill=THEME_FAINT
        )
        body += label(426, 242, "1", anchor="end", fill=THEME_FAINT)
        body += label(426, 342, "0", anchor="end", fill=THEME_FAINT)
        return svg(770, 376, body, words)

    def _chart(self, figures: LowRankFigures, x: int, title: str, path: str, mark_y: int) -> str:
        last = self.parts.largest_rank
        at = x + 310 * _across(figures.rank, last)
        kept = (
            f'<rect x="{x}" y="232" width="{at - x:g}" height="110" style="fill:{THEME_PANEL}"/>'
            f'<path d="M{at:g} 232V342" style="stroke:{ORANGE};stroke-width:2"/>'
        )
        frame = f'<path d="M{x} 232V342H{x + 310}" style="stroke:{THEME_LINE};fill:none"/>'
        ticks = "".join(
            label(x + 310 * _across(rank, last), 356, str(rank), anchor="middle", fill=THEME_FAINT)
            for rank in _ticks(last)
        )
        end = "end" if at > x + 240 else "start"
        mark = label(at - 6 if end == "end" else at + 6, mark_y, f"r = {figures.rank}", anchor=end)
        axis = label(x + 310, 371, "rank (by doublings)", anchor="end", fill=THEME_FAINT)
        return kept + frame + path + label(x, 222, title) + ticks + mark + axis


def sample_picture() -> np.ndarray:
    """Return a small grey picture (120, 160), values 0 to 1: a hill, a sun, a house, some grass."""
    y, x = np.mgrid[0:120, 0:160]
    picture = 0.9 - 0.35 * y / 120
    hill = y > 78 - 22 * np.sin(x / 160 * np.pi * 1.3)
    picture[hill] = (0.42 - 0.1 * np.sin(x / 3.0 + y / 5.0) * np.cos(y / 4.0))[hill]
    picture[(x - 128) ** 2 + (y - 26) ** 2 < 14**2] = 1.0
    picture[(np.abs(x - 62) < 20) & (np.abs(y - 72) < 15)] = 0.75
    picture[(np.abs(x - 62) < 1.1 * (y - 38)) & (y >= 38) & (y < 57)] = 0.2
    picture[(np.abs(x - 53) < 4) & (np.abs(y - 69) < 4)] = 0.1
    picture[(np.abs(x - 70) < 4) & (y > 68) & (y < 87)] = 0.15
    return picture


def _floored(spectrum: np.ndarray) -> np.ndarray:
    """Return the spectrum with what is rounding noise lifted to a millionth of the largest."""
    return np.maximum(spectrum, (float(spectrum[0]) or 1.0) * 1e-6)


def _across(rank: int, last: int) -> float:
    return math.log2(rank) / math.log2(last) if last > 1 else 0.0


def _ticks(last: int) -> list[int]:
    doublings = [2**power for power in range(0, 20, 1 if last < 64 else 2) if 2**power < last]
    return [rank for rank in doublings if _across(rank, last) < 0.9] + [last]


def _curve(
    values: np.ndarray,
    x: float,
    y: float,
    width: float,
    height: float,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Return a line through the values at ranks 1 … k, across by doublings of the rank."""
    last = len(values)
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    ranks = sorted({round(2 ** (step / 16)) for step in range(16 * 20)} & set(range(1, last + 1)))
    points = " ".join(
        f"{x + width * _across(rank, last):.1f},"
        f"{y + height * (high - values[rank - 1]) / ((high - low) or 1):.1f}"
        for rank in sorted({*ranks, last})
    )
    return f'<polyline points="{points}" style="fill:none;stroke:{BLUE};stroke-width:2"/>'
