"""Which rank on two maps costs what rank 8 costs on all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

OF_ALL_LINEAR = 2_442_240  # SmolLM2-135M at rank 8
OF_Q_V = 57_600  # at rank 1


def _near(expected: float) -> Callable[[float], bool]:
    return lambda value: math.isclose(value, expected, rel_tol=1e-3)


EQUAL_RANK = Exercise(
    id="09.equal-rank",
    title="The same number of parameters elsewhere",
    objective="findings",
    task=(
        "On all linear layers of SmolLM2-135M, rank 8 trains 2,442,240 parameters. Set `rank` to "
        "the rank on `q_proj` (576 → 576) and `v_proj` (576 → 192) alone that comes nearest to "
        "that. The model has 30 layers."
    ),
    answer="rank",
    hints=(
        "At rank 1 an adapter costs d_in + d_out on each map. Add up q_proj and v_proj.",
        "Divide 2,442,240 by what rank 1 costs in all 30 layers, and round.",
    ),
    check=ValueCheck(
        observe=number_of("rank"),
        properties=(
            Property(
                _near(42), "That rank does not come nearest to 2,442,240 parameters on q and v."
            ),
        ),
        misconceptions=(
            Misconception(
                "same-rank",
                "Rank 8 on two narrow maps trains 460,800 parameters, less than a fifth.",
                when=_near(8),
            ),
            Misconception(
                "square-value",
                "You take v_proj for 576 → 576. Three value heads serve nine query heads, so it "
                "maps to 192.",
                when=_near(35),
            ),
            Misconception(
                "one-layer",
                "You divide by what one layer costs; there are 30.",
                when=lambda value: 1270 <= value <= 1273,
            ),
            Misconception(
                "rank-not-whole",
                "That is the quotient. A rank is a whole number: take the nearest.",
                when=_near(OF_ALL_LINEAR / OF_Q_V),
            ),
            Misconception(
                "one-factor",
                "An adapter has two factors, (r, d_in) and (d_out, r). You count one of them.",
                when=lambda value: value in (70, 71, 105, 106),
            ),
        ),
    ),
    praise="42 × 57,600 = 2,419,200 parameters, within one percent of rank 8 everywhere.",
    difficulty="easy",
)
