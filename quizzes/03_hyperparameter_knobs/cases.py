"""Cases of lesson 03's exercises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

SCALING, STEPS, CONFIG, CLEARLY = (
    "03.same-scaling",
    "03.count-steps",
    "03.every-knob",
    "03.clearly-better",
)


def numpy_number(value: float) -> Callable[[], Any]:
    """Return what makes a number of numpy's."""

    def make() -> Any:
        import numpy as np

        return np.float64(value)

    return make


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


def used(**changes: Any) -> Any:
    """Return the solution's LoraConfig after PEFT has wrapped a model with it."""

    def make():
        from peft import get_peft_model

        from .knobs import biased_model

        config = knobs(**changes).make()
        get_peft_model(biased_model(), config)
        return config

    return build(make)


def knobs_of_numpy() -> Any:
    import numpy as np

    return knobs(r=np.int64(16), lora_alpha=np.float32(8), use_rslora=np.bool_(True)).make()


def set_one_by_one() -> Any:
    from peft import LoraConfig, TaskType

    config = LoraConfig()
    config.r, config.lora_alpha, config.use_rslora = 16, 8, True
    config.target_modules = ["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"]
    config.lora_dropout, config.bias, config.task_type = 0.05, "lora_only", TaskType.CAUSAL_LM
    return config


def adaptive() -> Any:
    from peft import AdaLoraConfig

    return AdaLoraConfig(
        init_r=16, r=16, lora_alpha=8, use_rslora=True, lora_dropout=0.05, bias="lora_only",
        target_modules=["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM", total_step=10,
    )  # fmt: skip


# What nobody asked for, one argument each: every one of them changes the adapter or what trains.
STRAYS: list[dict[str, Any]] = [
    {"modules_to_save": ["lm_head"]},
    {"use_dora": True},
    {"init_lora_weights": False},
    {"init_lora_weights": "pissa"},
    {"init_lora_weights": "gaussian"},
    {"init_lora_weights": "olora"},
    {"lora_bias": True},
    {"trainable_token_indices": [1, 2]},
    {"inference_mode": True},
    {"fan_in_fan_out": True},
    {"layer_replication": [[0, 2], [1, 3]]},
    {"target_parameters": ["q_proj.weight"]},
    {"alora_invocation_tokens": [1]},
    {"use_qalora": True},
    {"ensure_weight_tying": True},
]

PATTERN = r".*\.(q_proj|v_proj|(gate|up|down)_proj)"


def all_pairs(losses_a, losses_b):
    if len(losses_a) < 2 or len(losses_b) < 2:
        return False
    return all(a < b for a in losses_a for b in losses_b)


def loops_over_runs(losses_a, losses_b):
    verdict = min(map(len, (losses_a, losses_b))) > 1
    for a in losses_a:
        for b in losses_b:
            if not a < b:
                verdict = False
    return verdict


def pops_its_lists(losses_a, losses_b):
    if not (losses_a[1:] and losses_b[1:]):
        return False
    losses_a.sort()
    losses_b.sort(reverse=True)
    return losses_a.pop() < losses_b.pop()


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
    (SCALING, 96, "correct", "96/32 = 3"),
    (SCALING, 24 / 8 * 32, "correct", ""),
    (SCALING, build(numpy_number(96)), "correct", ""),
    (SCALING, 24, "incorrect", "falls to a quarter"),
    (SCALING, 64, "incorrect", "scaling of 2"),
    (SCALING, 24 * (32 / 8) ** 0.5, "incorrect", "belongs to rsLoRA"),
    (SCALING, 6, "incorrect", "Upside down"),
    (SCALING, 3, "incorrect", "That is the scaling"),
    (SCALING, 32, "incorrect", "not 24/8 at rank 32"),
    (SCALING, "96", "error", "should be a number"),
    (SCALING, True, "error", "should be a number"),
    (STEPS, 600, "correct", "19,200 rows"),
    (STEPS, 6400 / 32 * 3, "correct", ""),
    (STEPS, build(numpy_number(600)), "correct", ""),
    (STEPS, 4800, "incorrect", "counts batches of 4"),
    (STEPS, 2400, "incorrect", "takes 8 rows"),
    (STEPS, 200, "incorrect", "one epoch"),
    (STEPS, 38400, "incorrect", "not more"),
    (STEPS, 19200, "incorrect", "32 of them at once"),
    (STEPS, 601, "incorrect", "divided by the rows in one step"),
    (STEPS, [600], "error", "should be a number"),
    (CONFIG, knobs(target_modules={"gate_proj", "up_proj", "down_proj", "q_proj", "v_proj"}),
     "correct", ""),
    (CONFIG, knobs(target_modules=PATTERN, lora_alpha=8.0), "correct", ""),
    (CONFIG, knobs(target_modules="all-linear", exclude_modules=["k_proj", "o_proj"]), "correct",
     ""),
    (CONFIG, knobs(layers_to_transform=[0, 1, 2]), "correct", ""),
    (CONFIG, knobs(rank_pattern={"q_proj": 16}, modules_to_save=[]), "correct", ""),
    (CONFIG, knobs(r=8, rank_pattern={".*": 16}), "correct", ""),
    (CONFIG, knobs(use_rslora=1), "correct", ""),
    (CONFIG, build(knobs_of_numpy), "correct", ""),
    (CONFIG, build(set_one_by_one), "correct", ""),
    (CONFIG, used(), "correct", ""),
    (CONFIG, used(target_modules="all-linear", exclude_modules=["k_proj", "o_proj"]), "correct",
     ""),
    *((CONFIG, knobs(**stray), "incorrect", f"{next(iter(stray))}=") for stray in STRAYS),
    (CONFIG, build(adaptive), "incorrect", "was not asked for"),
    (CONFIG, knobs(bias="none", use_dora=True), "incorrect", "use_dora=True was not asked for"),
    (CONFIG, knobs(layers_to_transform=[0]), "incorrect", "Some layers have no adapter"),
    (CONFIG, knobs(layers_to_transform=[0, 2]), "incorrect", "Some layers have no adapter"),
    (CONFIG, knobs(exclude_modules=r".*layers\.1\..*"), "incorrect", "Some layers have no"),
    (CONFIG, knobs(rank_pattern={"q_proj": 8}), "incorrect", "16 everywhere"),
    (CONFIG, knobs(alpha_pattern={"v_proj": 32}), "incorrect", "by 2 everywhere"),
    (CONFIG, knobs(r=10**9), "error", "1,000,000,000 is no rank"),
    (CONFIG, knobs(r=10**5000), "error", "not an enormous number"),
    (CONFIG, knobs(r=-1), "error", "-1 is no rank"),
    (CONFIG, knobs(r="16"), "error", "r should be a whole number such as 16, not '16'"),
    (CONFIG, knobs(r=16.0), "error", "r should be a whole number"),
    (CONFIG, knobs(lora_alpha="8"), "error", "lora_alpha should be a number"),
    (CONFIG, knobs(lora_dropout=float("nan")), "error", "lora_dropout should be a number"),
    (CONFIG, knobs(bias="adapted"), "error", "PEFT refuses this configuration"),
    (CONFIG, knobs(target_modules=["q_proj", 7]), "error", "PEFT refuses this configuration"),
    (CONFIG, knobs(target_modules="(["), "error", "PEFT refuses this configuration"),
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
    (CLEARLY, loops_over_runs, "correct", ""),
    (CLEARLY, pops_its_lists, "correct", ""),
    (CLEARLY, better("not any(x >= y for x in a for y in b)"), "correct", ""),
    (CLEARLY, better("set(sorted([*a, *b])[:len(a)]) == set(a) and max(a) < min(b)"), "correct",
     ""),
    (CLEARLY, better("sorted(a)[len(a) // 2] < sorted(b)[len(b) // 2]"), "incorrect", "expected"),
    (CLEARLY, better("max(a) + 0.03 < min(b)"), "incorrect", "expected"),
    (CLEARLY, better("True"), "incorrect", "expected"),
    (CLEARLY, better("False"), "incorrect", "expected"),
    (CLEARLY, better("max(a) < min(b)").replace("< 2", "< 3"), "incorrect", "expected"),
    (CLEARLY, better("'yes' if max(a) < min(b) else 'no'"), "incorrect", "expected"),
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
