"""Rank as outer products: a column times a row, added one at a time until the matrix is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import traitlets
from typing_extensions import override

from labs_lib.errors import LabError, choice_error
from labs_lib.lowrank.outer_products import (
    numbers,
    outer_figures,
    outer_terms,
    sample_matrix,
    sample_picture,
)
from labs_lib.widgets.heatmap import grey_png, heat_png
from labs_lib.widgets.instrument import image, label, svg
from labs_lib.widgets.page import PageInstrument

SMALL, PICTURE = "6 × 6", "a picture"
_SIZE = 200


class OuterProducts(PageInstrument):
    """The first `rank` terms of one of several matrices, their sum, and what is left.

    `matrices` adds your own by name: arrays or tensors (d_out, d_in). Given `sources` in their
    place, terms as `outer_terms` returns them, those alone are shown. `source` names the one to
    start with, `rank` how many of its terms are added up, from 0. Raises `LabError` for what is no
    matrix, an unknown source and a rank beyond its terms.
    """

    name: ClassVar[str] = "outer_products"
    state: ClassVar[tuple[str, ...]] = ("sources", "source", "rank")

    sources: Any = traitlets.Dict(help="terms by name, as outer_terms returns them").tag(sync=True)
    source: Any = traitlets.Unicode(SMALL, help="the name of a source").tag(sync=True)
    rank: Any = traitlets.Int(1, help="a whole number of 0 or more").tag(sync=True)

    def __init__(self, matrices: Mapping[str, Any] | None = None, **state: Any):
        super().__init__(**{"sources": _terms_of(matrices or {}), **state})

    @override
    def figures(self) -> dict[str, Any]:
        if self.source not in self.sources:
            raise choice_error("source", self.source, self.sources)
        return outer_figures(self.sources[self.source], self.rank)

    @override
    def line(self) -> str:
        figures, terms = self.figures(), self.sources[self.source]
        d_out, d_in = terms["shape"]
        shape = "" if self.source == SMALL else f" ({d_out} × {d_in})"
        return (
            f"{self.source}{shape}, {self.rank} of {min(d_out, d_in)} terms: "
            f"{figures['kept']:.2%} of the energy, relative error {figures['error']:.4f}; "
            f"the mean value alone keeps {figures['mean_kept']:.2%}"
        )

    @override
    def picture(self) -> str:
        self.figures()
        terms = self.sources[self.source]
        columns, rows = numbers(terms["columns"]), numbers(terms["rows"])
        sums = columns[: self.rank].T @ rows[: self.rank]
        full = numbers(terms["grid"]) if terms["grid"] else columns.T @ rows
        limit = float(np.abs(full).max()) or 1.0
        png = grey_png if terms["picture"] else (lambda grid: heat_png(grid, limit))
        high, wide = full.shape
        scale = _SIZE / max(high, wide)
        panels = (
            (f"the sum of {self.rank}", png(sums)),
            ("the matrix", png(full)),
            ("what is left", heat_png(full - sums, limit)),
        )
        body = "".join(
            label(x, 14, title) + image(x, 22, wide * scale, high * scale, pixels)
            for x, (title, pixels) in zip((4, 220, 436), panels, strict=True)
        )
        return svg(640, int(30 + high * scale), body, self.line())


def _terms_of(matrices: Mapping[str, Any]) -> dict[str, Any]:
    terms = {
        SMALL: outer_terms(sample_matrix()),
        PICTURE: outer_terms(sample_picture(48), picture=True),
    }
    for name, matrix in matrices.items():
        try:
            terms[name] = outer_terms(matrix)
        except LabError as error:
            raise LabError(f"matrices[{name!r}]: {error}") from None
    return terms
