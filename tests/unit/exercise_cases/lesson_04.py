"""Cases of lesson 04's exercises."""

from __future__ import annotations

from typing import Any

from exercise_cases.base import Case, build


def lora(**changes: Any) -> Any:
    """Return the solution's LoraConfig with some arguments changed."""

    def build():
        from peft import LoraConfig

        right = {"r": 8, "lora_alpha": 16, "target_modules": ["query_key_value", "dense"],
                 "task_type": "CAUSAL_LM"}  # fmt: skip
        return LoraConfig(**{**right, **changes})

    return build


def set_up(config: dict | None = None, labels: Any = None, rate: Any = 1e-3, then: Any = None):
    """Return a set_up(base) with one thing done differently from the solution."""

    def build():
        from peft import LoraConfig, get_peft_model

        def function(base):
            arguments = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"],
                         "task_type": "CAUSAL_LM", **(config or {})}  # fmt: skip
            model = get_peft_model(base, LoraConfig(**arguments))
            model = then(model) or model if then else model
            return {"model": model, "learning_rate": rate, "labels": labels or masked}

        return function

    return build


def masked(ids, prompt):
    copied = ids.clone()
    copied[:prompt] = -100
    return copied


def changes_input(ids, prompt):
    ids[:prompt] = -100
    return ids


def trains_base(model):
    for part in model.parameters():
        part.requires_grad = True


def silences(model):
    """Switch the adapter off and leave its parameters trainable."""
    model.base_model.disable_adapter_layers()
    for name, part in model.named_parameters():
        part.requires_grad = "lora_" in name


def total(rank, shapes):
    count = 0
    for shape in shapes:
        count = count + shape[0] * rank
        count = count + rank * shape[1]
    return float(count)


def first_only(rank, shapes):
    for d_in, d_out in shapes:
        return rank * (d_in + d_out)


def last_only(rank, shapes):
    count = 0
    for d_in, d_out in shapes:
        count = rank * (d_in + d_out)
    return count


def forgets_return(rank, shapes):
    count = 0
    for d_in, d_out in shapes:
        count += rank * (d_in + d_out)


def starts_at_one(rank, shapes):
    return 1 + total(rank, shapes)


def numpy_total(rank, shapes):
    import numpy as np

    return np.sum(np.array(shapes, dtype=np.int64).reshape(-1, 2)) * rank


def torch_total(rank, shapes):
    import torch

    return torch.tensor(shapes, dtype=torch.float64).sum() * rank


LORA, HAND, COUNT, REPAIR = (
    "04.lora-config",
    "04.count-by-hand",
    "04.count-function",
    "04.repair-set-up",
)

CASES: list[Case] = [
    (LORA, build(lora(target_modules=r".*attention\.(query_key_value|dense)")), "correct", "all"),
    (LORA, build(lora(target_modules={"attention.dense", "query_key_value"})), "correct", "all"),
    (LORA, build(lora(use_rslora=True, lora_alpha=32**0.5)), "correct", "scaled by 2"),
    (LORA, build(lora(lora_dropout=0.1, bias="none")), "correct", "scaled by 2"),
    (LORA, build(lora(target_modules=["q_proj", "v_proj"])), "incorrect", "Llama's names"),
    (LORA, build(lora(target_modules=["c_attn"])), "incorrect", "GPT-2's names"),
    (LORA, build(lora(target_modules=None)), "incorrect", "Without target_modules"),
    (LORA, build(lora(target_modules="all-linear")), "incorrect", "adapts the MLP too"),
    (LORA, build(lora(target_modules=["query_key_value"])), "incorrect", "second matrix"),
    (LORA, build(lora(target_modules=["dense"])), "incorrect", "Only the output projection"),
    (LORA, build(lora(lora_alpha=2)), "incorrect", "lora_alpha to the scaling itself"),
    (LORA, build(lora(lora_alpha=8)), "incorrect", "The scaling is 1"),
    (LORA, build(lora(lora_alpha=32)), "incorrect", "not scaled by 2"),
    (LORA, build(lora(r=4, lora_alpha=8)), "incorrect", "rank should be 8"),
    (LORA, build(lora(bias="all")), "incorrect", "bias terms are trained too"),
    (LORA, build(lora(inference_mode=True)), "incorrect", "freezes the adapter"),
    (LORA, build(lora(task_type=None)), "incorrect", 'task_type="CAUSAL_LM"'),
    (LORA, build(lora(modules_to_save=["lm_head"])), "incorrect", "beside the adapter"),
    (LORA, build(lora(layers_to_transform=[0])), "incorrect", "in all layers"),
    (LORA, build(lora(target_modules=["queri"])), "error", "not found in the base model"),
    (LORA, {"r": 8}, "error", "should be a LoraConfig, not a dict"),
    (HAND, 11520.0, "correct", "11,520"),
    (HAND, sum(5 * 8 * (a + b) for a, b in ((48, 144), (48, 48))), "correct", "11,520"),
    (HAND, 2304, "incorrect", "one layer's worth"),
    (HAND, 5 * (48 * 144 + 48 * 48), "incorrect", "counted the matrices themselves"),
    (HAND, 48 * 144 + 48 * 48, "incorrect", "counted the matrices themselves"),
    (HAND, 5 * 8 * (48 + 48), "incorrect", "lora_A only"),
    (HAND, 5 * 8 * (144 + 48), "incorrect", "Something is missing"),
    (HAND, 11519, "incorrect", "Not the number"),
    (HAND, 5 * 8 * (48 * 144 + 48 * 48), "incorrect", "add up"),
    (HAND, "11520", "error", "should be a number"),
    (COUNT, total, "correct", "every adapted matrix"),
    (COUNT, numpy_total, "correct", "every adapted matrix"),
    (COUNT, torch_total, "correct", "every adapted matrix"),
    (COUNT, lambda r, s: r * sum(map(sum, s)), "correct", "every adapted matrix"),
    (COUNT, "def count_lora(rank, shapes): return sum(rank * sum(s) for s in shapes)", "correct",
     "every adapted matrix"),
    (COUNT, lambda rank, shapes: sum(a * b for a, b in shapes), "incorrect", "frozen matrices"),
    (COUNT, lambda rank, shapes: sum(rank * a * b for a, b in shapes), "incorrect", "add up"),
    (COUNT, lambda rank, shapes: sum(rank * a for a, b in shapes), "incorrect", "lora_A only"),
    (COUNT, lambda rank, shapes: sum(rank * b for a, b in shapes), "incorrect", "lora_B only"),
    (COUNT, first_only, "incorrect", "return inside the loop"),
    (COUNT, last_only, "incorrect", "Only the last shape counts"),
    (COUNT, forgets_return, "incorrect", "end with a return"),
    (COUNT, starts_at_one, "incorrect", "count_lora(1, [(2, 3)]) returned 6; expected 5"),
    (COUNT, lambda rank, shapes: str(rank), "incorrect", "expected 5"),
    (COUNT, lambda rank: rank, "error", "takes 1 positional argument but 2 were given"),
    (COUNT, lambda rank, shapes: shapes[0], "error", "IndexError in line"),
    (COUNT, 12, "error", "should be a function; an int was given"),
    (COUNT, "total = 1", "error", "no function called count_lora"),
    (REPAIR, build(set_up(rate=2e-4)), "correct", "this set-up learns"),
    (REPAIR, build(set_up(config={"target_modules": "all-linear", "r": 2})), "correct", "learns"),
    (REPAIR, build(set_up(labels=lambda i, p: [-100] * p + i.tolist()[p:])), "correct", "learns"),
    (REPAIR, build(set_up(config={"inference_mode": True})), "incorrect", "there but frozen"),
    (REPAIR, build(set_up(then=lambda m: m.unload())), "incorrect", "base model itself"),
    (REPAIR, build(set_up(then=lambda m: m.base_model.disable_adapter_layers())), "incorrect",
     "frozen"),
    (REPAIR, build(set_up(then=silences)), "incorrect", "switched off"),
    (REPAIR, build(set_up(then=trains_base)), "incorrect", "full fine-tuning with an adapter"),
    (REPAIR, build(set_up(labels=lambda i, p: i.clone())), "incorrect", "still labels"),
    (REPAIR, build(set_up(labels=lambda i, p: i.tolist()[:p] + [-100] * (len(i) - p))),
     "incorrect", "the other way round"),
    (REPAIR, build(set_up(labels=lambda i, p: [0] * p + i.tolist()[p:])), "incorrect",
     "0 is a token"),
    (REPAIR, build(set_up(labels=lambda i, p: [*masked(i, p).tolist()[1:], -100])), "incorrect",
     "shifted the labels by one"),
    (REPAIR, build(set_up(labels=changes_input)), "incorrect", "into input_ids itself"),
    (REPAIR, build(set_up(rate=2e-5)), "incorrect", "for full fine-tuning"),
    (REPAIR, build(set_up(rate=0.5)), "incorrect", "does not settle"),
    (REPAIR, build(set_up(rate="fast")), "error", "ValueError"),
    (REPAIR, lambda base: base, "incorrect", "should return a dictionary"),
]  # fmt: skip
