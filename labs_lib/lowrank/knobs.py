"""The legal values of rank, alpha and dropout, and the scaling that they make."""

from __future__ import annotations

import math
from typing import Any

from labs_lib.errors import LabError, shorten


def scaling_of(rank: int, alpha: float, use_rslora: bool = False) -> float:
    """Return alpha/r, or alpha/√r with `use_rslora`; raise `LabError` for r < 1 or alpha ≤ 0.

    Source: LoRA §4.1 (arXiv 2106.09685); rsLoRA (arXiv 2312.03732).
    """
    check_rank(rank)
    check_alpha(alpha)
    return alpha / math.sqrt(rank) if use_rslora else alpha / rank


def check_rank(rank: Any, d_out: int | None = None, d_in: int | None = None, of: str = "") -> None:
    """Raise `LabError` unless `rank` is a whole number from 1, and to min(d_out, d_in) if given.

    `of` names the matrix in the message.
    """
    if isinstance(rank, bool) or not hasattr(rank, "__index__") or rank < 1:
        raise LabError(f"rank: {shorten(rank)} is not legal; a whole number of 1 or more")
    if d_out is not None and d_in is not None and rank > min(d_out, d_in):
        raise LabError(
            f"rank: {rank} is above {min(d_out, d_in)}, the smaller dimension of "
            f"{of or 'the matrix'} ({d_out} × {d_in}); legal: 1 to {min(d_out, d_in)}"
        )


def check_alpha(alpha: Any) -> None:
    """Raise `LabError` unless `alpha` is a finite number above 0; 0 would silence the adapter."""
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if not number or not 0 < alpha < math.inf:
        why = "; alpha 0 multiplies the update by nothing" if number and alpha == 0 else ""
        raise LabError(f"alpha: {shorten(alpha)} is not legal; a number above 0{why}")


def check_dropout(dropout: Any) -> float:
    """Return `dropout` if 0 ≤ dropout < 1, else raise `LabError`."""
    number = isinstance(dropout, (int, float)) and not isinstance(dropout, bool)
    if not number or not 0 <= dropout < 1:
        raise LabError(f"dropout: {shorten(dropout)} is not legal; from 0 to below 1")
    return float(dropout)
