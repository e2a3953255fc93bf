"""The values that a code can represent: NF4 from the normal distribution, FP4, int4, 8-bit dynamic.

A code book is a one-dimensional fp32 tensor; a code is a position in it.  All values lie in
[−1, 1], since a block is divided by its absmax first.
"""

from __future__ import annotations

import functools
from itertools import pairwise

import torch

from labs_lib.quantization.settings import check_quant_type

# Where the outermost quantile lies, as a probability.  The ideal would be the middle of the
# last of 2·15 and of 2·16 equal slices; the published table used their mean, to seven digits.
NF4_OUTERMOST = 0.9677083  # ≈ ((1 − 1/30) + (1 − 1/32)) / 2


def nf4_codebook() -> torch.Tensor:
    """Return NF4's 16 values, ascending: quantiles of the normal distribution, scaled to ±1.

    Weights of a trained layer are nearly normal, so values at equal steps of *probability*
    are used more evenly than evenly spaced ones.  (Not quite evenly: in a block of 64 the
    absmax lies farther out than the book assumes, and the outer codes are used least; arXiv
    2306.06965.)  The book is asymmetric by design: 16 is even, and zero must be exact (padding
    and pruned weights are zero), which leaves 15.  Seven go to the negative side and eight to
    the positive, where neighbors are closer.  Source: QLoRA, arXiv 2305.14314, §3 and
    appendix E.

    Shape (16,), fp32, equal bit for bit to the table in bitsandbytes.  The table was made
    from single-precision probabilities, hence the rounding to fp32 before the quantile.
    """
    return _from_quantiles(negatives=7, positives=8)


def _from_quantiles(negatives: int, positives: int) -> torch.Tensor:
    def side(count: int) -> torch.Tensor:
        # `count` equal steps of probability from the outermost quantile to the median.
        steps = torch.linspace(outermost, 0.5, count + 1, dtype=torch.float64)[:-1]
        return torch.special.ndtri(steps.float().double()).float()

    outermost = torch.tensor(NF4_OUTERMOST, dtype=torch.float32).item()
    values = torch.cat(
        [-side(negatives), torch.zeros(1, dtype=torch.float32), side(positives).flip(0)]
    )
    return values / values.max()


def slice_shares(book: torch.Tensor, outermost: float = NF4_OUTERMOST) -> list[float]:
    """Return the share of normal weights between each two neighbors of a normal code book.

    `book` is ascending with largest value 1, which represents the quantile of `outermost`, a
    probability. One share fewer than values; the tails beyond both ends are left out.
    """
    quantiles = book.double() * torch.special.ndtri(torch.tensor(outermost, dtype=torch.float64))
    below = torch.special.ndtr(quantiles).tolist()
    return [right - left for left, right in pairwise(below)]


def fp4_codebook() -> torch.Tensor:
    """Return the 16 values of bitsandbytes' FP4, in the order of their bit patterns.

    One sign bit, two exponent bits, one mantissa bit: 0, 0.0625, 8, 12, 4, 6, 2, 3 and their
    negatives, divided by 12.  Shape (16,), fp32, *not* ascending; zero appears twice (+0, −0).
    """
    positive = torch.tensor([0, 0.0625, 8, 12, 4, 6, 2, 3], dtype=torch.float32)
    return torch.cat([positive, -positive]) / 12


def int4_codebook() -> torch.Tensor:
    """Return 15 evenly spaced values, −7/7 … 7/7: what a plain 4-bit integer offers.

    Shape (15,), fp32.  −8 has no positive partner, so symmetric int4 leaves one code unused.
    """
    return torch.arange(-7, 8, dtype=torch.float32) / 7


def dynamic_codebook() -> torch.Tensor:
    """Return the 256 values of the signed 8-bit dynamic type, ascending.

    A leading run of zeros counts the decimal exponent (10⁰ … 10⁻⁶); the bits that remain
    divide the decade evenly, so small numbers keep their order of magnitude.  Double
    quantization stores the scales in it.  Shape (256,), fp32, equal bit for bit to
    `bitsandbytes.functional.create_dynamic_map()`.  Source: arXiv 1511.04561.
    """
    values = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2**exponent + 1, dtype=torch.float32)
        middles = ((edges[:-1] + edges[1:]) / 2 * 10 ** (exponent - 6)).tolist()
        values += middles + [-value for value in middles]
    return torch.tensor(sorted(values), dtype=torch.float32)


_BOOKS = {"nf4": nf4_codebook, "fp4": fp4_codebook, "int4": int4_codebook}


def codebook(quant_type: str) -> torch.Tensor:
    """Return the code book of "nf4", "fp4" or "int4"; LabError for any other name."""
    return _BOOKS[check_quant_type(quant_type)]()


def decision_boundaries(book: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where rounding flips from one code to the next, and the codes in ascending order.

    The nearest value changes half-way between neighbors, so `midpoints` has one entry less
    than the book.  `order[k]` is the code of the k-th smallest value: the identity for a
    sorted book, needed for FP4.
    """
    order = torch.argsort(book, stable=True)
    ascending = book[order]
    return (ascending[:-1] + ascending[1:]) / 2, order.to(torch.uint8)


@functools.cache
def cached_codebook(quant_type: str, device: torch.device) -> torch.Tensor:
    """Return `codebook(quant_type)` on `device`, made once; do not write to it."""
    return codebook(quant_type).to(device)
