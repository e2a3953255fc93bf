"""A function that counts the parameters that a configuration trains."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import (
    Exercise,
    FunctionCheck,
    Misconception,
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
    difficulty="easy",
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
                wrong=lambda _rank, shapes: sum(a * b for a, b in shapes),
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
