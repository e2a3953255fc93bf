"""A normal code book of any width."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import SEED, Exercise, FunctionCheck, Misconception, same


def _side(outermost: float, count: int, keep_median: bool = False) -> Any:
    """Return quantiles at `count` equal steps of probability from the outermost to the median."""
    import torch

    steps = torch.linspace(outermost, 0.5, count + 1, dtype=torch.float64)
    return torch.special.ndtri(steps if keep_median else steps[:-1]).float()


def _book(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    values = torch.cat([-_side(outermost, half - 1), torch.zeros(1), _side(outermost, half)])
    return values.sort().values / values.max()


def _mirrored(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1) - 1)
    values = torch.cat([-side, torch.zeros(1), side])
    return values.sort().values / values.max()


def _mirrored_long(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1))
    values = torch.cat([-side, torch.zeros(1), side])
    return values.sort().values / values.max()


def _without_zero(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1))
    values = torch.cat([-side, side])
    return values.sort().values / values.max()


def _two_zeros(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    negative = -_side(outermost, half - 1, keep_median=True)
    values = torch.cat([negative, _side(outermost, half - 1, keep_median=True)])
    return values.sort().values / values.max()


def _evenly_spaced(bits: int, _outermost: float) -> Any:
    import torch

    return torch.linspace(-1, 1, 2**bits)


def _even_integers(bits: int, _outermost: float) -> Any:
    import torch

    top = 2 ** (bits - 1) - 1
    return torch.arange(-top, top + 1) / top


def _not_scaled(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    values = torch.cat([-_side(outermost, half - 1), torch.zeros(1), _side(outermost, half)])
    return values.sort().values


def _swapped(bits: int, outermost: float) -> Any:
    return -_book(bits, outermost).flip(0)


def _even_quantiles(bits: int, outermost: float) -> Any:
    import torch

    steps = torch.linspace(1 - outermost, outermost, 2**bits, dtype=torch.float64)
    values = torch.special.ndtri(steps).float()
    return values / values.max()


def _book_cases(generator: random.Random) -> list[tuple[int, float]]:
    import torch  # noqa: F401  (seconds that are not the answer's, so before its clock runs)

    return [(bits, round(generator.uniform(0.93, 0.99), 4)) for bits in (4, 3, 2, 5, 4, 8)]


def _in_another_order(results: list[Any]) -> bool:
    cases = _book_cases(random.Random(SEED))
    return all(
        same(sorted(float(value) for value in result), _book(*case).tolist(), 1e-3)
        for case, result in zip(cases, results, strict=True)
    )


_SYMMETRIC = (
    "That code book is symmetric. Mirroring one side about an exact zero gives an odd number of "
    "values, so a code is lost or one too many is needed: 2**bits is even. Give the positive side "
    "one value more than the negative."
)

CODEBOOK = Exercise(
    id="05.codebook",
    title="A normal code book of any width",
    objective="nf4",
    task=(
        "NF4 is one of a family. Write `normal_codebook(bits, outermost)`: the `2**bits` values, "
        "ascending, that the same recipe gives. Half of the codes go to the positive side, zero "
        "is exact, the rest go to the negative side. Each side takes equal steps of probability "
        "from `outermost` towards 0.5, and the largest value is 1. Return a tensor or a list."
    ),
    answer="normal_codebook",
    hints=(
        "With 4 bits the positive side has 8 values, the negative 7; with 3 bits 4 and 3.",
        "linspace from outermost to 0.5 with count + 1 points ends at the median, which is "
        "zero: leave that point out and add zero once.",
        "torch.special.ndtri turns probabilities into quantiles; sort, then divide by the largest.",
    ),
    check=FunctionCheck(
        cases=_book_cases,
        reference=_book,
        relative_tolerance=1e-3,
        misconceptions=(
            Misconception("symmetric", _SYMMETRIC, wrong=_mirrored),
            Misconception("symmetric-too-long", _SYMMETRIC, wrong=_mirrored_long),
            Misconception(
                "no-zero",
                "There is no zero in it. Symmetric and of the right length, but a pruned weight "
                "or padding would come back as something else: zero must be exact.",
                wrong=_without_zero,
            ),
            Misconception(
                "zero-twice",
                "Zero stands in it twice: the median ends both sides. One code is wasted; leave "
                "the last point of linspace out, and give the freed code to the positive side.",
                wrong=_two_zeros,
            ),
            Misconception(
                "evenly-spaced",
                "Those values are evenly spaced, as in a plain integer type. Equal steps of "
                "*probability* lie closer together near zero, where most weights are.",
                wrong=_evenly_spaced,
            ),
            Misconception(
                "integers",
                "Those are the values of a symmetric integer, evenly spaced and one short. Take "
                "quantiles at equal steps of probability.",
                wrong=_even_integers,
            ),
            Misconception(
                "one-run-of-quantiles",
                "One run of probabilities from one end to the other steps over 0.5, so zero is "
                "not in it. Make the two sides separately and put zero between them.",
                wrong=_even_quantiles,
            ),
            Misconception(
                "not-scaled",
                "Those are the quantiles themselves. A block is divided by its absmax, so the "
                "book must reach exactly 1: divide by the largest value.",
                wrong=_not_scaled,
            ),
            Misconception(
                "sides-swapped",
                "The other way round: the positive side is the one with a value more.",
                wrong=_swapped,
            ),
            Misconception(
                "not-ascending",
                "Those are the right values in another order; the book should ascend.",
                when=_in_another_order,
            ),
        ),
    ),
    praise="Right for every width: an exact zero, and one value more above it than below.",
)
