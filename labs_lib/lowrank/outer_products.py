"""A matrix as a sum of columns times rows, strongest first, that a page can add up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from labs_lib.errors import LabError, shorten
from labs_lib.lowrank.decomposition import as_matrix, factorise

MOST_TERMS = 64
_ALL_DRAWN, _MOST_DRAWN = 64, 48
_NOISE = 1e-10  # of the largest σ: rounding alone


def outer_terms(matrix: Any, *, picture: bool = False) -> dict[str, Any]:
    """Return the first terms σ·u·vᵀ of a matrix (d_out, d_in), as words and numbers for JSON.

    `columns` (k, rows drawn) and `rows` (k, columns drawn) each take √σ, for k of at most 64 terms;
    a matrix of more than 64 rows or columns is seen through one row and column in `step`.
    `spectrum` holds every σ, so that energy and error are those of the whole matrix. `grid` is the
    matrix on the drawn rows and columns, or empty where the terms add up to it. `mean_kept` is the
    share of the energy that a matrix of the mean value keeps. A row of numbers is one string, with
    spaces between: a notebook's file has a line for each entry of a list. They have three digits,
    the spectrum seven; `numbers` reads them.

    Raises `LabError` for what is no matrix.
    """
    values = as_matrix(matrix).astype(np.float64)
    parts = factorise(values)
    longest = max(values.shape)
    step = 1 if longest <= _ALL_DRAWN else math.ceil(longest / _MOST_DRAWN)
    kept = min(MOST_TERMS, parts.largest_rank)
    real = parts.spectrum > _NOISE * parts.spectrum[0]
    lora_B, lora_A = parts.factors(kept)
    lora_B = lora_B * real[:kept]
    signs = np.where(lora_A.sum(axis=1) < 0, -1.0, 1.0)  # a picture's first term is then positive
    whole = kept == parts.largest_rank
    energy = float(np.square(values).sum())
    return {
        "shape": list(values.shape),
        "step": step,
        "picture": picture,
        "columns": [_words(each) for each in (lora_B * signs).T[:, ::step]],
        "rows": [_words(each) for each in (lora_A * signs[:, None])[:, ::step]],
        "spectrum": _words(np.where(real, parts.spectrum, 0.0), 7),
        "grid": [] if whole else [_words(each) for each in values[::step, ::step]],
        "mean_kept": values.size * float(values.mean()) ** 2 / energy if energy else 0.0,
    }


def outer_figures(terms: Mapping[str, Any], rank: int) -> dict[str, float]:
    """Return what the first `rank` terms keep of a matrix and what they cost, by `outer_terms`.

    `kept` is the share of the energy ‖M‖², `error` the relative error ‖M − M_r‖/‖M‖; `mean_kept`
    and `mean_error` are those of a matrix of the mean value, and `over_mean` is the share of what
    that one loses which the terms keep (below 0 if they lose more). Raises `LabError` for a rank
    outside 0 … the number of terms.
    """
    most = len(terms["columns"])
    if isinstance(rank, bool) or not 0 <= rank <= most:
        raise LabError(f"{shorten(rank)} is not legal; a whole number from 0 to {most}", "rank")
    squares = np.square(numbers(terms["spectrum"]))
    total = float(squares.sum())
    lost = float(squares[rank:].sum()) / total if total else 0.0
    flat = 1 - terms["mean_kept"]
    d_out, d_in = terms["shape"]
    return {
        "kept": 1 - lost,
        "error": math.sqrt(lost),
        "mean_kept": terms["mean_kept"],
        "mean_error": math.sqrt(max(0.0, flat)),
        "over_mean": 1 - lost / flat if flat > 1e-9 else 1.0,
        "term_numbers": rank * (d_out + d_in),
        "matrix_numbers": d_out * d_in,
    }


def sample_matrix() -> np.ndarray:
    """Return a 6 × 6 matrix of rank 3: three columns of small numbers, each times a row."""
    columns = np.array([[1, 1, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0], [1, 0, -1, 1, 0, -1]]) / 2
    rows = np.array([[1, 1, 0, 0, 1, 1], [0, 0.4, 1, 1, 0.4, 0], [0.4, -0.4, 0.4, -0.4, 0.4, -0.4]])
    return np.round(columns.T @ rows, 6)


def sample_picture(rows: int = 120) -> np.ndarray:
    """Return a grey picture (rows, 4/3 · rows), values 0 to 1: a hill, a sun, a house, grass."""
    y, x = np.mgrid[0:rows, 0 : rows * 4 // 3] * (120 / rows)
    picture = 0.9 - 0.35 * y / 120
    hill = y > 78 - 22 * np.sin(x / 160 * np.pi * 1.3)
    picture[hill] = (0.42 - 0.1 * np.sin(x / 3.0 + y / 5.0) * np.cos(y / 4.0))[hill]
    picture[(x - 128) ** 2 + (y - 26) ** 2 < 14**2] = 1.0
    picture[(np.abs(x - 62) < 20) & (np.abs(y - 72) < 15)] = 0.75
    picture[(np.abs(x - 62) < 1.1 * (y - 38)) & (y >= 38) & (y < 57)] = 0.2
    picture[(np.abs(x - 53) < 4) & (np.abs(y - 69) < 4)] = 0.1
    picture[(np.abs(x - 70) < 4) & (y > 68) & (y < 87)] = 0.15
    return picture


def numbers(words: str | list[str]) -> np.ndarray:
    """Return the numbers in a string of `outer_terms` (n,), or in a list of them (m, n)."""
    if isinstance(words, str):
        return np.array([float(word) for word in words.split()])
    return np.array([numbers(each) for each in words])


def _words(values: np.ndarray, digits: int = 3) -> str:
    """Return the values in one string, each to so many significant digits."""
    return " ".join(f"{value:.{digits}g}" for value in values)
