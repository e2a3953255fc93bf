"""How many parameters an adapter on query, key and value has."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _count(
    rank: int,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    fused: bool,
    *,
    cost: Callable[[int, int, int], int] = lambda rank, d_in, d_out: rank * (d_in + d_out),
    grouped: bool = True,
    one_matrix: Callable[[int, int], list[int]] = lambda hidden, kv: [hidden + 2 * kv],
) -> int:
    """Return the count, or what a mistake makes of it."""
    kv = kv_heads * (hidden // heads) if grouped else hidden
    outputs = one_matrix(hidden, kv) if fused else [hidden, kv, kv]
    return layers * sum(cost(rank, hidden, d_out) for d_out in outputs)


def _count_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # Two that a student can follow by hand: SmolLM2-135M, and GPT-2 with its one c_attn.
    cases: list[tuple[Any, ...]] = [(8, 30, 576, 9, 3, False), (8, 12, 768, 12, 12, True)]
    for number in range(16):
        fused = number % 4 == 0
        groups = 1 if fused else generator.choice((1, 2, 4))
        kv_heads = generator.randint(1, 8)
        heads = kv_heads * groups
        hidden = heads * generator.choice((16, 32, 64, 128))
        rank, layers = generator.choice((2, 4, 8, 16)), generator.randint(2, 80)
        cases.append((rank, layers, hidden, heads, kv_heads, fused))
    return cases


COUNT = Exercise(
    id="02.count-qkv",
    title="Count an adapter on query, key and value",
    objective="count",
    task=(
        "Write `count_qkv(rank, layers, hidden, heads, kv_heads, fused)`: how many parameters LoRA "
        "of this rank trains on the query, key and value projections of **all** layers. Query maps "
        "hidden → hidden. Key and value each map hidden → kv_heads × (hidden // heads): several "
        "query heads may share one key and one value head. Where `fused` is true, the three are "
        "one matrix (GPT-2's `c_attn`) with **one** adapter."
    ),
    answer="count_qkv",
    hints=(
        "One adapted matrix costs rank × (d_in + d_out).",
        "SmolLM2 has 9 query heads and 3 key/value heads of width 64: key maps 576 → 192.",
        "One fused matrix has one lora_A with hidden columns, and a lora_B with as many rows as "
        "the three outputs have together.",
    ),
    check=FunctionCheck(
        cases=_count_cases,
        reference=_count,
        relative_tolerance=1e-6,  # a count is exact; an fp32 sum of it is not quite
        misconceptions=(
            Misconception(
                "one-layer",
                "That is the count for one layer; every layer has its own adapters.",
                wrong=lambda rank, _layers, *rest: _count(rank, 1, *rest),
            ),
            Misconception(
                "square-key-value",
                "You count key and value as hidden → hidden. With grouped-query attention they "
                "are narrower: kv_heads × (hidden // heads).",
                wrong=lambda *case: _count(*case, grouped=False),
            ),
            Misconception(
                "kv-heads-as-width",
                "kv_heads is a number of heads, not a width; each is hidden // heads wide.",
                wrong=lambda rank, layers, hidden, _heads, kv_heads, fused: _count(
                    rank, layers, hidden, hidden, kv_heads, fused
                ),
            ),
            Misconception(
                "fused-as-three",
                "Right for separate matrices. A fused matrix has one adapter: its lora_A reads "
                "the input once, not three times.",
                wrong=lambda *case: _count(*case, one_matrix=lambda hidden, kv: [hidden, kv, kv]),
            ),
            Misconception(
                "fused-as-square",
                "Right for separate matrices. The fused one is not square: its output holds "
                "query, key and value together.",
                wrong=lambda *case: _count(*case, one_matrix=lambda hidden, _kv: [hidden]),
            ),
            Misconception(
                "full-matrices",
                "You count the frozen matrices (d_in × d_out); LoRA trains rank × (d_in + d_out).",
                wrong=lambda *case: _count(*case, cost=lambda _rank, d_in, d_out: d_in * d_out),
            ),
            Misconception(
                "product-of-factors",
                "rank × d_in × d_out multiplies the sizes of the two factors; their parameters "
                "add up.",
                wrong=lambda *case: _count(
                    *case, cost=lambda rank, d_in, d_out: rank * d_in * d_out
                ),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B has rank × d_out more.",
                wrong=lambda *case: _count(*case, cost=lambda rank, d_in, _d_out: rank * d_in),
            ),
        ),
    ),
    decoys=(
        "    kv = kv_heads",
        "    return layers * sum(rank * hidden * d_out for d_out in outputs)",
    ),
    praise="Layers, grouped heads and the fused matrix: all counted as PEFT counts them.",
)
