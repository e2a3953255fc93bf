"""The share of a matrix's energy that its best approximation of a rank keeps."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    """Return random spectra, largest first, each with a rank below their length."""
    import numpy as np

    cases = [(np.array([4.0, 2.0, 2.0, 1.0]), 1)]
    for _ in range(8):
        length = generator.randint(4, 12)
        spectrum = sorted((generator.uniform(0.1, 9) for _ in range(length)), reverse=True)
        cases.append((np.array(spectrum), generator.randint(1, length - 2)))
    return cases


def _kept(spectrum: Any, rank: int) -> float:
    return float((spectrum[:rank] ** 2).sum() / (spectrum**2).sum())


ENERGY = Exercise(
    id="02x.energy-kept",
    title="The energy that a rank keeps",
    objective="rank",
    difficulty="easy",
    task=(
        "Write `energy_kept(spectrum, rank)`: the share, from 0 to 1, of a matrix's energy that "
        "its best approximation of this rank keeps. `spectrum` is a NumPy array of the singular "
        "values, largest first."
    ),
    answer="energy_kept",
    hints=(
        "The approximation has the first `rank` singular values; the matrix has all of them.",
        "Energy adds the squares of singular values.",
    ),
    check=FunctionCheck(
        cases=_cases,
        reference=_kept,
        misconceptions=(
            Misconception(
                "not-squared",
                "You add the singular values; energy adds their squares.",
                wrong=lambda spectrum, rank: float(spectrum[:rank].sum() / spectrum.sum()),
            ),
            Misconception(
                "lost-for-kept",
                "That is the share that is lost; the share that is kept is 1 minus that.",
                wrong=lambda spectrum, rank: 1 - _kept(spectrum, rank),
            ),
            Misconception(
                "error-for-energy",
                "That is the relative error, the square root of the share that is lost.",
                wrong=lambda spectrum, rank: (1 - _kept(spectrum, rank)) ** 0.5,
            ),
            Misconception(
                "norm-for-energy",
                "That is the square root of the share: leave the sums of squares as they are.",
                wrong=lambda spectrum, rank: _kept(spectrum, rank) ** 0.5,
            ),
            Misconception(
                "one-too-many",
                "You keep one singular value too many; spectrum[:rank] has `rank` of them.",
                wrong=lambda spectrum, rank: _kept(spectrum, rank + 1),
            ),
            Misconception(
                "share-of-rank",
                "You divide numbers of singular values. They are not equal: the first ones are the "
                "largest.",
                wrong=lambda spectrum, rank: rank / len(spectrum),
            ),
            Misconception(
                "not-a-share",
                "That is the energy itself; divide it by the energy of the matrix.",
                wrong=lambda spectrum, rank: float((spectrum[:rank] ** 2).sum()),
            ),
        ),
    ),
    praise="The squares of the singular values that are kept, over the squares of all.",
)
