"""Cases of lesson 03's exercises."""

from __future__ import annotations

import math
from typing import Any

from exercise_cases.base import Case, build

SCALING, BUDGET, CONFIG, CLEARLY = (
    "03.keep-scaling",
    "03.rank-for-budget",
    "03.every-knob",
    "03.clearly-better",
)


def solve_for_alpha(old_rank, alpha, new_rank, use_rslora):
    def divisor(rank):
        return math.sqrt(rank) if use_rslora else rank

    return alpha / divisor(old_rank) * divisor(new_rank)


def by_powers(old_rank, alpha, new_rank, use_rslora):
    power = 1 - 0.5 * use_rslora
    return alpha * math.exp(power * (math.log(new_rank) - math.log(old_rank)))


def count_by_layer(budget, layers, hidden, heads, kv_heads, mlp):
    kv = kv_heads * hidden // heads
    rank = 0
    shapes = [(hidden, hidden)] * 2 + [(hidden, kv)] * 2 + [(hidden, mlp)] * 2 + [(mlp, hidden)]
    one = layers * sum(map(sum, shapes))
    while (rank + 1) * one <= budget:
        rank += 1
    return rank


def in_letters(budget, layers, hidden, heads, kv_heads, mlp):
    q = o = 2 * hidden
    k = v = hidden + kv_heads * (hidden // heads)
    gate = up = down = hidden + mlp
    return math.floor(budget / ((q + k + v + o + gate + up + down) * layers))


def spend(kv="kv_heads * (hidden // heads)", cost=None, layers="layers", end="budget // per_rank"):
    """Return the source of a budget with one thing done differently."""
    cost = cost or "4 * hidden + 2 * (hidden + kv) + 3 * (hidden + mlp)"
    return (
        "def rank_for_budget(budget, layers, hidden, heads, kv_heads, mlp):\n"
        f"    kv = {kv}\n"
        f"    per_rank = {layers} * ({cost})\n"
        f"    return {end}\n"
    )


FULL = "2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * mlp"


def knobs(**changes: Any) -> Any:
    """Return the solution's LoraConfig with some arguments changed."""

    def make():
        from peft import LoraConfig

        right = {
            "r": 16, "lora_alpha": 8, "use_rslora": True, "lora_dropout": 0.05,
            "target_modules": ["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"],
            "bias": "lora_only", "task_type": "CAUSAL_LM",
        }  # fmt: skip
        return LoraConfig(**{**right, **changes})

    return build(make)


PATTERN = r".*\.(q_proj|v_proj|(gate|up|down)_proj)"


def all_pairs(losses_a, losses_b):
    if len(losses_a) < 2 or len(losses_b) < 2:
        return False
    return all(a < b for a in losses_a for b in losses_b)


def by_sorting(losses_a, losses_b):
    enough = len(losses_a) > 1 and len(losses_b) > 1
    return enough and sorted(losses_a)[-1] < sorted(losses_b)[0]


def with_numpy(losses_a, losses_b):
    import numpy as np

    return bool(len(losses_a) > 1 < len(losses_b) and np.max(losses_a) < np.min(losses_b))


def better(rule, guard=True):
    """Return the source of a comparison by another rule, with or without the guard."""
    first = "    if min(len(a), len(b)) < 2:\n        return False\n" if guard else ""
    return f"def clearly_better(a, b):\n{first}    return {rule}\n"


CASES: list[Case] = [
    (SCALING, solve_for_alpha, "correct", ""),
    (SCALING, by_powers, "correct", ""),
    (SCALING, lambda o, a, n, root: a, "incorrect", "not alpha"),
    (SCALING, lambda o, a, n, root: a * n / o, "incorrect", "Right without rsLoRA"),
    (SCALING, lambda o, a, n, root: a * math.sqrt(n / o), "incorrect", "Right with rsLoRA"),
    (SCALING, lambda o, a, n, root: a * (n / o if root else math.sqrt(n / o)), "incorrect",
     "exchanged"),
    (SCALING, lambda o, a, n, root: a * (math.sqrt(o / n) if root else o / n), "incorrect",
     "Upside down"),
    (SCALING, lambda o, a, n, root: a / (math.sqrt(o) if root else o), "incorrect",
     "That is the scaling"),
    (SCALING, lambda o, a, n, root: 2 * n, "incorrect", "a habit"),
    (SCALING, lambda o, a, n, root: a + n, "incorrect", "expected"),
    (SCALING, lambda o, a, n, root: a / 0, "error", "ZeroDivisionError"),
    (SCALING, 16, "error", "should be a function"),
    (BUDGET, count_by_layer, "correct", ""),
    (BUDGET, in_letters, "correct", ""),
    (BUDGET, spend(layers="1"), "incorrect", "one layer"),
    (BUDGET, spend(kv="hidden"), "incorrect", "share one key"),
    (BUDGET, spend(kv="kv_heads"), "incorrect", "number of heads"),
    (BUDGET, spend(cost="4 * hidden + 2 * (hidden + kv)"), "incorrect", "MLP's three maps"),
    (BUDGET, spend(cost="3 * hidden + kv"), "incorrect", "query and value alone"),
    (BUDGET, spend(cost="6 * hidden + 2 * kv + 2 * (hidden + mlp)"), "incorrect", "not two"),
    (BUDGET, spend(cost="6 * hidden + mlp"), "incorrect", "lora_A only"),
    (BUDGET, spend(cost=FULL), "incorrect", "frozen maps"),
    (BUDGET, spend(end="-(-budget // per_rank)"), "incorrect", "Rounded up"),
    (BUDGET, spend(end="round(budget / per_rank)"), "incorrect", "Rounded to the nearest"),
    (BUDGET, spend(end="budget / per_rank"), "incorrect", "expected"),
    (BUDGET, spend(cost="width"), "error", "NameError"),
    (CONFIG, knobs(target_modules={"gate_proj", "up_proj", "down_proj", "q_proj", "v_proj"}),
     "correct", ""),
    (CONFIG, knobs(target_modules=PATTERN, lora_alpha=8.0), "correct", ""),
    (CONFIG, knobs(lora_dropout=5), "incorrect", "not a percentage"),
    (CONFIG, knobs(lora_dropout=0.95), "incorrect", "the share that is kept"),
    (CONFIG, knobs(target_modules="all-linear"), "incorrect", "name the five maps"),
    (CONFIG, knobs(target_modules=["q_proj", "v_proj"]), "incorrect", "have no adapter"),
    (CONFIG, knobs(lora_alpha=32), "incorrect", "four times too strong"),
    (CONFIG, knobs(lora_alpha=32, use_rslora=False), "incorrect", "by plain LoRA's rule"),
    (CONFIG, knobs(lora_alpha=2), "incorrect", "the scaling itself"),
    (CONFIG, knobs(bias="all"), "incorrect", "the key's bias too"),
    (CONFIG, knobs(bias="none"), "incorrect", "every bias stays frozen"),
    (CONFIG, knobs(r=8), "incorrect", "r=16"),
    (CONFIG, knobs(lora_dropout=0.5), "incorrect", "dropout is not 5%"),
    (CONFIG, knobs(task_type=None), "incorrect", "CAUSAL_LM"),
    (CONFIG, knobs(target_modules=["up_porj"]), "error", "not found"),
    (CONFIG, {"r": 16}, "error", "LoraConfig"),
    (CLEARLY, all_pairs, "correct", ""),
    (CLEARLY, by_sorting, "correct", ""),
    (CLEARLY, with_numpy, "correct", ""),
    (CLEARLY, better("sum(a) / len(a) < sum(b) / len(b)"), "incorrect", "compare the means"),
    (CLEARLY, better("sum(a) / len(a) < sum(b) / len(b)", guard=False), "incorrect", "the means"),
    (CLEARLY, better("min(a) < min(b)"), "incorrect", "luckiest seed"),
    (CLEARLY, better("min(a) < min(b)", guard=False), "incorrect", "luckiest seed"),
    (CLEARLY, better("a[0] < b[0]"), "incorrect", "first run"),
    (CLEARLY, better("all(x < y for x, y in zip(a, b))"), "incorrect", "run by run"),
    (CLEARLY, better("min(a) > max(b)"), "incorrect", "these are losses"),
    (CLEARLY, better("max(a) < min(b)", guard=False), "incorrect", "With one run"),
    (CLEARLY, better("max(a) <= min(b)"), "incorrect", "not apart"),
    (CLEARLY, better("max(a) < max(b)"), "incorrect", "returned True; expected False"),
    (CLEARLY, better("max(losses) < 1"), "error", "NameError"),
]  # fmt: skip
