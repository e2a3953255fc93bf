"""Cases of lesson 04's exercises."""

from __future__ import annotations

import functools
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build, torch_loaded

from .unseen import unseen_model


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


def freezes(kind):
    """Freeze the parameters whose name holds `kind`."""

    def then(model):
        for name, part in model.named_parameters():
            if kind in name:
                part.requires_grad = False

    return then


def changes_base(model):
    """Halve a frozen matrix of the base."""
    model.base_model.model.lm_head.weight.data.mul_(0.5)


def one_layer_off(model):
    """Switch the second layer's adapters off, parameters still trainable."""
    for name, part in model.named_modules():
        if ".layers.1." in name and hasattr(part, "enable_adapters"):
            part._disable_adapters = True


def returned(**changes: Any) -> Any:
    """Return a set_up whose dictionary holds other things than the solution's."""

    def make():
        right = set_up()()
        return lambda base: {**right(base), **changes}

    return build(make)


def numpy_labels(ids, prompt):
    import numpy as np

    return np.where(np.arange(len(ids)) < prompt, -100, ids.numpy())


def tuple_of_labels(ids, prompt):
    return tuple(int(token) if place >= prompt else -100 for place, token in enumerate(ids))


class Labels:
    """A callable class in place of a function."""

    def __call__(self, input_ids, prompt_length):
        kept = input_ids[prompt_length:]
        return kept.new_full((prompt_length,), -100).tolist() + kept.tolist()


def numpy_rate() -> Any:
    import numpy as np

    return returned(learning_rate=np.float32(1e-3)).make()


def tensor_rate() -> Any:
    import torch

    return returned(learning_rate=torch.tensor(5e-4)).make()


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


def pops_shapes(rank, shapes):
    count = 0
    while shapes:
        count += rank * sum(shapes.pop())
    return count


def by_reduce(rank, shapes):
    return functools.reduce(lambda count, shape: count + rank * (shape[0] + shape[1]), shapes, 0)


def numpy_scalar(rank, shapes):
    import numpy as np

    return np.int64(total(rank, shapes))


def numpy_total(rank, shapes):
    import numpy as np

    return np.sum(np.array(shapes, dtype=np.int64).reshape(-1, 2)) * rank


def torch_total(rank, shapes):
    import torch

    return torch.tensor(shapes, dtype=torch.float64).sum() * rank


def lora_of_numpy() -> Any:
    import numpy as np

    return lora(r=np.int64(8), lora_alpha=np.int32(16))()


def used_lora() -> Any:
    """Return the solution's LoraConfig after PEFT has wrapped a model with it."""
    from peft import get_peft_model

    config = lora(task_type="CAUSAL_LM", target_modules=("query_key_value", "dense"))()
    get_peft_model(unseen(), config)
    return config


def unseen() -> Any:
    from .unseen import unseen_model

    return unseen_model()


def prompt_tuning() -> Any:
    from peft import PromptTuningConfig

    return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=8)


LORA, COUNT, REPAIR = "04.lora-config", "04.count-function", "04.repair-set-up"

CASES: list[Case] = [
    (LORA, build(lora(target_modules=r".*attention\.(query_key_value|dense)")), "correct", "all"),
    (LORA, build(lora(target_modules={"attention.dense", "query_key_value"})), "correct", "all"),
    (LORA, build(lora(use_rslora=True, lora_alpha=32**0.5)), "correct", "scaled by 2"),
    (LORA, build(lora(lora_dropout=0.1, bias="none")), "correct", "scaled by 2"),
    (LORA, build(lora(target_modules="all-linear", exclude_modules=r".*mlp.*|.*embed_out")),
     "correct", "scaled by 2"),
    (LORA, build(lora(layers_to_transform=[0, 1, 2, 3, 4])), "correct", "scaled by 2"),
    (LORA, build(lora(r=4, rank_pattern={".*": 8}, alpha_pattern={".*": 16})), "correct", "by 2"),
    (LORA, build(lora(lora_alpha=16.0, modules_to_save=[])), "correct", "scaled by 2"),
    (LORA, build(lora_of_numpy), "correct", "scaled by 2"),
    (LORA, build(used_lora), "correct", "scaled by 2"),
    (LORA, build(lora(init_lora_weights="pissa")), "incorrect", "init_lora_weights='pissa'"),
    (LORA, build(lora(init_lora_weights="pissa_niter_4")), "incorrect", "not asked for"),
    (LORA, build(lora(init_lora_weights=False)), "incorrect", "init_lora_weights=False"),
    (LORA, build(lora(lora_bias=True)), "incorrect", "other than the adapter"),
    (LORA, build(lora(trainable_token_indices=[3])), "incorrect", "other than the adapter"),
    (LORA, build(lora(use_dora=True)), "incorrect", "use_dora=True"),
    (LORA, build(lora(use_dora=True, lora_bias=False, use_qalora=True)), "incorrect", "1 more"),
    (LORA, build(lora(fan_in_fan_out=True)), "incorrect", "fan_in_fan_out=True"),
    (LORA, build(lora(layer_replication=[[0, 5], [2, 5]])), "incorrect", "layer_replication"),
    (LORA, build(lora(lora_dropout=0.9)), "incorrect", "leaves little of the adapter"),
    (LORA, build(lora(layers_to_transform=[1, 3])), "incorrect", "in all layers"),
    (LORA, build(lora(rank_pattern={"attention.dense": 4})), "incorrect", "8 everywhere"),
    (LORA, build(lora(alpha_pattern={"attention.dense": 8})), "incorrect", "not scaled by 2"),
    (LORA, build(lora(bias=None)), "error", "PEFT refuses this configuration"),
    (LORA, build(lora(r=10**9)), "error", "is no rank"),
    (LORA, build(prompt_tuning), "error", "should be a LoraConfig, not a PromptTuningConfig"),
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
    (LORA, build(lora(modules_to_save=["lm_head"])), "incorrect", "other than the adapter"),
    (LORA, build(lora(layers_to_transform=[0])), "incorrect", "in all layers"),
    (LORA, build(lora(target_modules=["queri"])), "error", "not found in the base model"),
    (LORA, build(lora(target_modules="query_key_value,dense")), "error", "try again."),
    (LORA, build(lora(target_modules=["attention"])), "error",
     "names a whole block, GPTNeoXAttention: name the Linear layers inside it."),
    (LORA, {"r": 8}, "error", "should be a LoraConfig, not a dict"),
    (LORA, build(unseen_model), "error", "a GPTNeoXForCausalLM was given"),
    (COUNT, total, "correct", "every adapted matrix"),
    (COUNT, numpy_total, "correct", "every adapted matrix"),
    (COUNT, torch_loaded(torch_total), "correct", "every adapted matrix"),
    (COUNT, lambda r, s: r * sum(map(sum, s)), "correct", "every adapted matrix"),
    (COUNT, "def count_lora(rank, shapes): return sum(rank * sum(s) for s in shapes)", "correct",
     "every adapted matrix"),
    (COUNT, pops_shapes, "correct", "every adapted matrix"),
    (COUNT, by_reduce, "correct", "every adapted matrix"),
    (COUNT, numpy_scalar, "correct", "every adapted matrix"),
    (COUNT, lambda r, s: sum(r * (a + b) for (a, b) in list(s)), "correct", "every adapted"),
    (COUNT, lambda r, s: total(r, s) + 1, "incorrect", "expected"),
    (COUNT, lambda r, s: r * sum(max(a, b) * 2 for a, b in s), "incorrect", "expected"),
    (COUNT, lambda r, s: sum(r * (a + b) for a, b in set(s)), "incorrect", "expected"),
    (COUNT, lambda r, s: total(8, s), "incorrect", "expected"),
    (COUNT, lambda r, s: total(r, s) or None, "incorrect", "expected 0"),
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
    (REPAIR, build(set_up(labels=lambda i, p: None)), "incorrect", "whole numbers"),
    (REPAIR, build(set_up(labels=lambda i, p: p)), "incorrect", "whole numbers"),
    (REPAIR, build(set_up(then=lambda model: model.disable_adapter_layers())), "incorrect",
     "as disable_adapter_layers() does"),
    (REPAIR, build(set_up(config={"target_modules": "all-linear", "r": 2})), "correct", "learns"),
    (REPAIR, build(set_up(labels=lambda i, p: [-100] * p + i.tolist()[p:])), "correct", "learns"),
    (REPAIR, build(set_up(labels=numpy_labels)), "correct", "learns"),
    (REPAIR, build(set_up(labels=tuple_of_labels)), "correct", "learns"),
    (REPAIR, build(set_up(labels=Labels())), "correct", "learns"),
    (REPAIR, build(numpy_rate), "correct", "learns"),
    (REPAIR, build(tensor_rate), "correct", "learns"),
    (REPAIR, returned(note="mine"), "correct", "learns"),
    (REPAIR, build(set_up(config={"lora_dropout": 0.1, "use_rslora": True})), "correct", "learns"),
    (REPAIR, build(set_up(then=freezes("lora_B"))), "incorrect", "Only a part of the adapter"),
    (REPAIR, build(set_up(then=freezes("lora_A"))), "incorrect", "Only a part of the adapter"),
    (REPAIR, build(set_up(then=freezes("layers.0.self_attn.q_proj.lora_B"))), "incorrect",
     "Only a part of the adapter"),
    (REPAIR, build(set_up(config={"layers_to_transform": [0]})), "incorrect", "some of the layers"),
    (REPAIR, build(set_up(then=one_layer_off)), "incorrect", "gets no gradient"),
    (REPAIR, build(set_up(config={"lora_dropout": 1.0})), "incorrect", "dropout near 1"),
    (REPAIR, build(set_up(config={"lora_alpha": 0})), "incorrect", "switched off"),
    (REPAIR, build(set_up(config={"init_lora_weights": False})), "incorrect",
     "answers differently from the base"),
    (REPAIR, build(set_up(then=changes_base)), "incorrect", "answers differently from the base"),
    (REPAIR, build(set_up(config={"modules_to_save": ["lm_head"]})), "incorrect",
     "full fine-tuning with an adapter"),
    (REPAIR, build(set_up(labels=lambda i, p: masked(i, p).float())), "incorrect",
     "whole numbers"),
    (REPAIR, build(set_up(labels=lambda i, p: masked(i, p)[p:])), "incorrect",
     "not those of completion-only"),
    (REPAIR, build(set_up(labels=lambda i, p: masked(i, p)[None])), "incorrect", "one for each"),
    (REPAIR, build(set_up(labels=lambda i, p: masked(i, 5))), "incorrect", "not those of"),
    (REPAIR, returned(learning_rate="1e-3"), "error", "should be a number, not a str"),
    (REPAIR, returned(learning_rate=float("nan")), "incorrect", "does not suit"),
    (REPAIR, returned(learning_rate=0), "incorrect", "does not suit"),
    (REPAIR, returned(labels=None), "error", "TypeError"),
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
    (REPAIR, build(set_up(rate="fast")), "error", "learning_rate should be a number, not a str"),
    (REPAIR, build(set_up(rate=True)), "error", "learning_rate should be a number, not a bool"),
    (REPAIR, lambda base: base, "incorrect", "should return a dictionary"),
]  # fmt: skip
