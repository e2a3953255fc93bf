"""The largest rank within a budget of parameters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _budget(
    budget: int,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    mlp: int,
    *,
    parts: str = "qkvogud",
    width: Callable[[int, int, int], int] = lambda hidden, heads, kv: kv * (hidden // heads),
    cost: Callable[[int, int], int] = lambda d_in, d_out: d_in + d_out,
    rounded: Callable[[float], int] = math.floor,
) -> int:
    """Return the largest rank within the budget, or what a mistake makes of it."""
    kv = width(hidden, heads, kv_heads)
    shapes = {
        "q": (hidden, hidden), "k": (hidden, kv), "v": (hidden, kv), "o": (hidden, hidden),
        "g": (hidden, mlp), "u": (hidden, mlp), "d": (mlp, hidden),
    }  # fmt: skip
    per_rank = layers * sum(cost(*shapes[part]) for part in parts)
    return rounded(budget / per_rank)


def _budget_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # SmolLM2-135M at exactly rank 8, one parameter less, less than rank 1; a 7B model.
    smol = (30, 576, 9, 3, 1536)
    cases: list[tuple[Any, ...]] = [(budget, *smol) for budget in (2442240, 2442239, 305279)]
    cases.append((20_000_000, 32, 4096, 32, 8, 14336))
    for _ in range(14):
        kv_heads = generator.choice((1, 2, 4))
        heads = kv_heads * generator.choice((2, 3, 4, 8))
        hidden = heads * generator.choice((32, 64, 128))
        shape = (generator.randint(2, 80), hidden, heads, kv_heads, 4 * hidden)
        one = _budget(1, *shape, rounded=lambda share: round(1 / share))
        cases.append((one * generator.randint(2, 60) + generator.randrange(one), *shape))
    return cases


def _misspent(**mistake: Any) -> Callable[..., int]:
    return lambda *case: _budget(*case, **mistake)


BUDGET = Exercise(
    id="03.rank-for-budget",
    title="The largest rank within a budget",
    objective="capacity",
    task=(
        "Write `rank_for_budget(budget, layers, hidden, heads, kv_heads, mlp)`: the largest rank "
        "whose adapter on **all seven** linear maps of every layer trains at most `budget` "
        "parameters; 0 if even rank 1 is too much. Query and output map hidden → hidden; key and "
        "value hidden → kv_heads × (hidden // heads); gate and up hidden → mlp; down mlp → hidden."
    ),
    answer="rank_for_budget",
    hints=(
        "An adapter of rank r on a d_in → d_out map costs r × (d_in + d_out): one more rank costs "
        "d_in + d_out.",
        "Add that up over query, key, value, output, gate, up and down, times the layers.",
        "At most the budget: divide and round down.",
    ),
    check=FunctionCheck(
        cases=_budget_cases,
        reference=_budget,
        relative_tolerance=1e-6,
        misconceptions=(
            Misconception(
                "one-layer",
                "You spend the budget on one layer; every layer has its own adapters.",
                wrong=lambda budget, layers, *rest: _budget(budget, 1, *rest),
            ),
            Misconception(
                "square-key-value",
                "You took key and value for hidden → hidden. Several query heads share one key "
                "and one value head: they are narrower.",
                wrong=_misspent(width=lambda hidden, heads, kv: hidden),
            ),
            Misconception(
                "kv-heads-as-width",
                "kv_heads is a number of heads; each of them is hidden // heads wide.",
                wrong=_misspent(width=lambda hidden, heads, kv: kv),
            ),
            Misconception(
                "attention-only",
                "The MLP's three maps are missing: gate, up and down get adapters too.",
                wrong=_misspent(parts="qkvo"),
            ),
            Misconception(
                "only-q-and-v",
                "That is query and value alone; all seven maps were asked for.",
                wrong=_misspent(parts="qv"),
            ),
            Misconception(
                "gate-forgotten",
                "The MLP has three maps, not two: gate and up both read the hidden state.",
                wrong=_misspent(parts="qkvoud"),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B costs d_out more for each rank.",
                wrong=_misspent(cost=lambda d_in, d_out: d_in),
            ),
            Misconception(
                "full-matrices",
                "You count the frozen maps (d_in × d_out); a rank costs d_in + d_out.",
                wrong=_misspent(cost=lambda d_in, d_out: d_in * d_out),
            ),
            Misconception(
                "rounded-up",
                "Rounded up, the adapter is over the budget.",
                wrong=_misspent(rounded=math.ceil),
            ),
            Misconception(
                "rounded-to-nearest",
                "Rounded to the nearest rank, the adapter is sometimes over the budget.",
                wrong=_misspent(rounded=round),
            ),
        ),
    ),
    praise="Layers, grouped heads and all seven maps counted, and never over the budget.",
)
