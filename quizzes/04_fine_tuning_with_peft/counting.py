"""The parameters that a configuration trains, by hand and by function."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import (
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
)
from labs_lib.assessment.exercises.reading import number_of

from .unseen import LAYERS, RANK, SHAPES

_COUNT = LAYERS * sum(RANK * (d_in + d_out) for d_in, d_out in SHAPES)


def _is_number(expected: float) -> Any:
    return lambda value: abs(value - expected) < 0.01


COUNT_BY_HAND = Exercise(
    id="04.count-by-hand",
    title="Count its trainable parameters by hand",
    objective="count",
    task=(
        "Without running PEFT: how many parameters does your configuration train on that model? "
        "Read the shapes off `print(model)` and set `trainable` to the number (a formula is fine)."
    ),
    answer="trainable",
    hints=(
        "An adapter on a d_in → d_out matrix has lora_A (r, d_in) and lora_B (d_out, r).",
        "So r × (d_in + d_out) for each adapted matrix; there are two in a layer.",
        "query_key_value goes from 48 to 144, dense from 48 to 48; `(0-4): 5 x` says how many "
        "layers there are.",
    ),
    check=ValueCheck(
        observe=number_of("trainable"),
        properties=(
            Property(
                _is_number(_COUNT),
                "Not the number: add r × (d_in + d_out) over both attention matrices of every "
                "layer.",
            ),
        ),
        misconceptions=(
            Misconception(
                "one-layer",
                "That is one layer's worth; the model has 5.",
                when=_is_number(_COUNT / LAYERS),
            ),
            Misconception(
                "full-matrices",
                "You counted the matrices themselves (d_in × d_out). They stay frozen; only "
                "lora_A and lora_B train: r × (d_in + d_out).",
                when=lambda value: any(
                    _is_number(factor * sum(a * b for a, b in SHAPES))(value)
                    for factor in (1, LAYERS)
                ),
            ),
            Misconception(
                "only-lora-a",
                "You counted lora_A only; lora_B, (d_out, r), trains as well.",
                when=_is_number(LAYERS * RANK * sum(d_in for d_in, _ in SHAPES)),
            ),
            Misconception(
                # Three roads lead to this one number.
                "left-something-out",
                "Something is missing: either lora_A, or dense (the output projection), or you "
                "took query_key_value for square; it holds query, key and value, 48 to 144.",
                when=_is_number(LAYERS * RANK * (48 + 144)),
            ),
            Misconception(
                "product-of-factors",
                "d_in × r × d_out multiplies the factors' sizes; the parameters of two matrices "
                "add up: r × d_in + d_out × r.",
                when=lambda value: any(
                    _is_number(factor * RANK * sum(a * b for a, b in SHAPES))(value)
                    for factor in (1, LAYERS)
                ),
            ),
        ),
    ),
    praise="11,520, and print_trainable_parameters() will say the same.",
)


def _count_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(1, [(2, 3)]), (8, []), (4, [(5, 5), (5, 5)])]
    for _ in range(20):
        shapes = [
            (generator.randint(1, 5000), generator.randint(1, 5000))
            for _ in range(generator.randint(1, 12))
        ]
        cases.append((generator.randint(1, 256), shapes))
    return cases


COUNT_FUNCTION = Exercise(
    id="04.count-function",
    title="A function that counts LoRA's parameters",
    objective="count",
    task=(
        "Write `count_lora(rank, shapes)`: how many parameters LoRA of this rank trains on "
        "matrices of these shapes, a list of `(d_in, d_out)` pairs."
    ),
    answer="count_lora",
    hints=(
        "Each pair costs lora_A of shape (rank, d_in) and lora_B of shape (d_out, rank).",
        "Sum rank * (d_in + d_out) over the pairs; an empty list gives 0.",
    ),
    check=FunctionCheck(
        cases=_count_cases,
        reference=lambda rank, shapes: sum(rank * (a + b) for a, b in shapes),
        relative_tolerance=1e-6,
        misconceptions=(
            Misconception(
                "full-matrices",
                "You count the frozen matrices (d_in × d_out); LoRA trains rank × (d_in + d_out).",
                wrong=lambda rank, shapes: sum(a * b for a, b in shapes),
            ),
            Misconception(
                "product-of-factors",
                "rank × d_in × d_out multiplies the two factors' sizes; two matrices' "
                "parameters add up.",
                wrong=lambda rank, shapes: sum(rank * a * b for a, b in shapes),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B has d_out × rank more.",
                wrong=lambda rank, shapes: sum(rank * a for a, _ in shapes),
            ),
            Misconception(
                "only-lora-b",
                "You count lora_B only; lora_A has rank × d_in more.",
                wrong=lambda rank, shapes: sum(rank * b for _, b in shapes),
            ),
            Misconception(
                "first-shape-only",
                "Your function stops at the first shape; is the return inside the loop?",
                wrong=lambda rank, shapes: rank * sum(shapes[0]) if shapes else None,
            ),
            Misconception(
                "last-shape-only",
                "Only the last shape counts; add to the total with += in the loop.",
                wrong=lambda rank, shapes: rank * sum(shapes[-1]) if shapes else 0,
            ),
        ),
    ),
    praise="That counts lora_A and lora_B of every adapted matrix.",
)
