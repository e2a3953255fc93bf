"""Matrices as small pictures, fast enough to follow a slider."""

from __future__ import annotations

import functools

import numpy as np

from labs_lib.lowrank.decomposition import Factorisation
from labs_lib.widgets.instrument import png_bytes

_KEPT = 8


class Thumbnail:
    """A factorised matrix seen through a grid of its rows and columns, at any rank.

    Only the entries that are drawn are ever multiplied out, so that a weight of 576 × 1536 costs
    as much as its picture of at most `pixels` a side.
    """

    def __init__(self, parts: Factorisation, pixels: int = 128):
        d_out, d_in = parts.shape
        self.step = max(1, -(-max(d_out, d_in) // pixels))
        self._left = np.ascontiguousarray(parts.left[:: self.step] * parts.spectrum, np.float32)
        self._right = np.ascontiguousarray(parts.right[:, :: self.step], np.float32)
        # The sum up to every eighth rank is kept: what is left to multiply is too small for a
        # BLAS to hand to threads, whose waiting would be seen under the slider.
        zero = np.zeros((len(self._left), self._right.shape[1]), np.float32)
        self._sums = [zero]
        for start in range(0, len(self._right), _KEPT):
            self._sums.append(self._sums[-1] + self._terms(start, start + _KEPT))
        self.full = self._sums[-1]
        self.limit = float(np.quantile(np.abs(self.full), 0.99)) or 1.0

    def at(self, rank: int) -> np.ndarray:
        """Return the best rank-`rank` approximation on the grid; a higher rank changes nothing."""
        whole = min(rank, len(self._right)) // _KEPT
        return self._sums[whole] + self._terms(whole * _KEPT, rank)

    def _terms(self, start: int, stop: int) -> np.ndarray:
        return self._left[:, start:stop] @ self._right[start:stop]


def heat_png(matrix: np.ndarray, limit: float) -> bytes:
    """Return a PNG of a matrix: blue below zero, white at zero, orange above, full at ±`limit`."""
    scaled = np.clip(matrix * (127.0 / limit) + 128.0, 0, 255).astype(np.uint8)
    return png_bytes(scaled, _diverging_palette())


def grey_png(matrix: np.ndarray) -> bytes:
    """Return a PNG of a picture whose values run from 0 (black) to 1 (white)."""
    return png_bytes(np.clip(matrix * 255.0, 0, 255).astype(np.uint8))


@functools.cache
def _diverging_palette() -> bytes:
    low, middle, high = np.array([[23, 84, 140], [250, 250, 250], [190, 75, 0]], float)
    share = np.linspace(-1, 1, 256)[:, None]
    colors = np.where(share < 0, middle + (middle - low) * share, middle + (high - middle) * share)
    return colors.astype(np.uint8).tobytes()
