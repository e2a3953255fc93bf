"""The alpha that keeps a scaling at another rank."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _scaling_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(8, 16, 16, False), (8, 16, 32, True), (16, 8, 16, False)]
    for number in range(16):
        old, new = generator.sample((1, 2, 4, 8, 16, 32, 64, 128), 2)
        cases.append((old, generator.choice((3, 5, 12, 40)), new, number % 2 == 0))
    return cases


KEEP_SCALING = Exercise(
    id="03.keep-scaling",
    title="The alpha that keeps the scaling",
    objective="scaling",
    task=(
        "Write `keep_scaling(old_rank, alpha, new_rank, use_rslora)`: someone trained with "
        "`old_rank` and `alpha`. Return the `lora_alpha` with which an adapter of `new_rank` is "
        "scaled **exactly as before**. `use_rslora` holds for both adapters."
    ),
    answer="keep_scaling",
    hints=(
        "Write both scalings down, set them equal, and solve for the new alpha.",
        "Plain LoRA: new_alpha / new_rank = alpha / old_rank.",
        "rsLoRA divides by the square root of the rank, on both sides.",
    ),
    check=FunctionCheck(
        cases=_scaling_cases,
        reference=lambda old, alpha, new, root: alpha * (new / old) ** (0.5 if root else 1),
        misconceptions=(
            Misconception(
                "alpha-fixed",
                "You leave alpha where it was. Then the scaling falls as the rank grows: what is "
                "applied is alpha divided by the rank, not alpha.",
                wrong=lambda old, alpha, new, root: alpha,
            ),
            Misconception(
                "root-forgotten",
                "Right without rsLoRA. With it the rank's square root divides alpha, so doubling "
                "the rank asks for less than twice the alpha.",
                wrong=lambda old, alpha, new, root: alpha * new / old,
            ),
            Misconception(
                "root-always",
                "Right with rsLoRA. Plain LoRA divides by the rank itself, not by its root.",
                wrong=lambda old, alpha, new, root: alpha * (new / old) ** 0.5,
            ),
            Misconception(
                "roots-exchanged",
                "The two rules are exchanged: rsLoRA is the one with the square root.",
                wrong=lambda old, alpha, new, root: alpha * (new / old) ** (1 if root else 0.5),
            ),
            Misconception(
                "upside-down",
                "Upside down: a larger rank divides by more, so alpha has to grow with it.",
                wrong=lambda old, alpha, new, root: alpha * (old / new) ** (0.5 if root else 1),
            ),
            Misconception(
                "returns-scaling",
                "That is the scaling. Asked for is the alpha which gives it at the new rank.",
                wrong=lambda old, alpha, new, root: alpha / old ** (0.5 if root else 1),
            ),
            Misconception(
                "twice-the-rank",
                "alpha = 2r is a habit, and gives a scaling of 2. The old scaling need not be 2.",
                wrong=lambda old, alpha, new, root: 2 * new,
            ),
        ),
    ),
    praise="The same scaling before and after, with and without the root.",
)
