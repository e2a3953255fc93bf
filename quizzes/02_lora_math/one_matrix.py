"""How many parameters an adapter on one matrix has."""

from __future__ import annotations

from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

_RANK, _D_IN, _D_OUT = 16, 4096, 1024


def _is(count: int) -> Callable[[float], bool]:
    return lambda size: size == count


SIZE = Exercise(
    id="02.adapter-size",
    title="Count an adapter on one matrix",
    objective="count",
    difficulty="easy",
    task=(
        f"`v_proj` of Llama-3-8B maps {_D_IN} → {_D_OUT}. Set `size` to the number of parameters "
        f"that LoRA of rank {_RANK} trains on it, in one layer."
    ),
    answer="size",
    hints=(
        "lora_A is (r, d_in), lora_B is (d_out, r).",
        "Count the numbers in each of the two matrices and add them up.",
    ),
    check=ValueCheck(
        observe=number_of("size"),
        properties=(
            Property(
                _is(_RANK * (_D_IN + _D_OUT)),
                "That is not the number of parameters of lora_A and lora_B together.",
            ),
        ),
        misconceptions=(
            Misconception(
                "full-matrix",
                "You count the frozen matrix, d_in × d_out.",
                when=_is(_D_IN * _D_OUT),
            ),
            Misconception(
                "product-of-factors",
                "You multiply the sizes of the two factors; their parameters add up.",
                when=_is(_RANK * _D_IN * _D_OUT),
            ),
            Misconception(
                "one-factor",
                "You count one factor. Both are trained.",
                when=lambda size: size in (_RANK * _D_IN, _RANK * _D_OUT),
            ),
            Misconception(
                "taken-for-square",
                "The matrix is not square: lora_A has d_in columns, lora_B has d_out rows.",
                when=lambda size: size in (2 * _RANK * _D_IN, 2 * _RANK * _D_OUT),
            ),
            Misconception(
                "without-rank",
                "You add d_in and d_out; each of the r directions costs that much.",
                when=_is(_D_IN + _D_OUT),
            ),
        ),
    ),
    praise="81,920 parameters; the frozen matrix has 4,194,304.",
)
