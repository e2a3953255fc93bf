"""The picture that NF4 comes from: a bell curve cut into equal shares of the weights."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from labs_lib.colors import GREY, INK, ORANGE
from labs_lib.figures import new_figure, show
from labs_lib.quantization.codebooks import NF4_OUTERMOST, nf4_codebook


def slice_shares(book: torch.Tensor, outermost: float = NF4_OUTERMOST) -> list[float]:
    """Return the share of normal weights between each two neighbors of a normal code book.

    `book` is ascending with largest value 1, which represents the quantile of `outermost`, a
    probability. One share fewer than values; the tails beyond both ends are left out.
    """
    quantiles = book.double() * torch.special.ndtri(torch.tensor(outermost, dtype=torch.float64))
    below = torch.special.ndtr(quantiles).tolist()
    return [right - left for left, right in pairwise(below)]


def bell_figure() -> Any:
    """Draw the normal curve, cut at NF4's values into slices of equal share on each side."""
    book = nf4_codebook()
    shares = slice_shares(book)
    title = f"Each slice above 0 has {shares[-1]:.1%} of the weights, each below 0 {shares[0]:.1%}"
    fig, axes = new_figure(title, "weight (standard deviations)", "density of the weights")
    cuts = (book * torch.special.ndtri(torch.tensor(NF4_OUTERMOST))).tolist()
    for number, (left, right) in enumerate(pairwise(cuts)):
        across = torch.linspace(left, right, 40)
        strength = 0.4 if number % 2 else 0.75
        axes.fill_between(across, _density(across), color=GREY, alpha=strength, linewidth=0)
    across = torch.linspace(-3.2, 3.2, 300)
    axes.plot(across, _density(across), color=INK, linewidth=1.5)
    axes.plot(cuts, [-0.015] * len(cuts), "^", color=ORANGE, label="the 16 values")
    axes.legend(loc="upper right")
    alt = f"A bell curve cut at 16 values, close together near zero. {title}."
    return show(fig, alt=alt)


def _density(across: torch.Tensor) -> torch.Tensor:
    return torch.exp(-across.square() / 2) / (2 * torch.pi) ** 0.5
