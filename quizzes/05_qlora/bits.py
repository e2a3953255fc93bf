"""The bits that one quantized weight costs."""

from __future__ import annotations

from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of


def _near(expected: float) -> Callable[[float], bool]:
    return lambda bits: abs(bits - expected) < 0.0015


BITS = Exercise(
    id="05.block-of-32",
    title="What does a weight cost in blocks of 32?",
    objective="count",
    difficulty="easy",
    task=(
        "A model is stored in NF4 with blocks of **32** weights and double quantization: each "
        "absmax takes 8 bits, and 256 of them share one scale of 32 bits. Set `bits` to the bits "
        "that one weight costs, scales included."
    ),
    answer="bits",
    hints=(
        "What is stored once per block is shared by its 32 weights.",
        "A scale of 32 bits is shared by 256 blocks. How many weights are that?",
    ),
    check=ValueCheck(
        observe=number_of("bits"),
        properties=(
            Property(
                _near(4 + 8 / 32 + 32 / (32 * 256)),
                "That is not the code plus its share of the absmax and of the second scale.",
            ),
        ),
        misconceptions=(
            Misconception(
                "scales-left-out",
                "4 bits are the code alone. Without the scale of its block a code means nothing.",
                when=_near(4),
            ),
            Misconception(
                "block-of-64",
                "That is the figure for blocks of 64. Half as many weights share a scale here.",
                when=_near(4 + 8 / 64 + 32 / (64 * 256)),
            ),
            Misconception(
                "double-ignored",
                "You count 32 bits for each absmax. Double quantization stores it in 8.",
                when=_near(4 + 32 / 32),
            ),
            Misconception(
                "second-scales-left-out",
                "Almost. The 8-bit scales need a scale of their own: a small share, but it is "
                "stored. (If you counted it, give a third decimal.)",
                when=_near(4 + 8 / 32),
            ),
            Misconception(
                "double-block-of-weights",
                "The second scale is shared by 256 *scales*, and each of those belongs to 32 "
                "weights.",
                when=_near(4 + 8 / 32 + 32 / 256),
            ),
            Misconception(
                "scales-only",
                "Those are the scales without the code itself, which has 4 bits.",
                when=_near(8 / 32 + 32 / (32 * 256)),
            ),
            Misconception(
                "bytes-for-bits",
                "A 32-bit scale has 32 *bits*; you counted its 4 bytes.",
                when=_near(4 + 1 / 32 + 4 / (32 * 256)),
            ),
        ),
    ),
    praise="A code, its share of the absmax, and its share of the second scale: 4.254 bits.",
)
