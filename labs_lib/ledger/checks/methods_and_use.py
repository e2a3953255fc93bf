"""Checks of what is said about what LoRA and its relatives are, and when to use which."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labs_lib.ledger.finding import Finding
from labs_lib.ledger.tiny import tiny_llama, with_lora


def _split(wrapped: Any) -> tuple[list[str], list[str]]:
    """Return the names of the parameters that are trained, and of those that are frozen."""
    named = list(wrapped.named_parameters())
    trained = [name for name, parameter in named if parameter.requires_grad]
    return trained, [name for name, parameter in named if not parameter.requires_grad]


def base_is_frozen() -> Finding:
    """List what PEFT's LoRA trains and what it freezes."""
    trained, frozen = _split(with_lora(tiny_llama()))
    return Finding(
        f"of {len(trained) + len(frozen)} tensors {len(trained)} are trained, all of them lora_A "
        f"or lora_B; {len(frozen)} are frozen",
        {"PEFT's LoRA": all("lora_" in name for name in trained)
         and not any("lora_" in name for name in frozen)},
    )  # fmt: skip


def trains_a_subset_of_the_model() -> Finding:
    """Count how many of the tensors that LoRA trains are the base model's own."""
    own = {name for name, _ in tiny_llama().named_parameters()}
    trained, _ = _split(with_lora(tiny_llama()))
    kept = [name for name in trained if name.removeprefix("base_model.model.") in own]
    return Finding(
        f"{len(kept)} of the {len(trained)} trained tensors are the model's own; all are added",
        {"PEFT's LoRA": len(kept) == len(trained)},
    )


def peft_methods_add_parameters() -> Finding:
    """Ask of several PEFT methods whether what they train is added to a frozen base."""
    from peft import IA3Config, LNTuningConfig, LoraConfig, PromptTuningConfig, get_peft_model

    own = {name for name, _ in tiny_llama().named_parameters()}
    configs: dict[str, Any] = {
        "LoRA": LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"),
        "IA3": IA3Config(
            target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"],
            task_type="CAUSAL_LM",
        ),
        "prompt tuning": PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        "layer norm tuning": LNTuningConfig(target_modules=["norm"], task_type="CAUSAL_LM"),
    }  # fmt: skip
    added: dict[str, bool] = {}
    for name, config in configs.items():
        trained, _ = _split(get_peft_model(tiny_llama(), config))
        bare = [each.removeprefix("base_model.model.") for each in trained]
        # Layer norm tuning trains a copy of the model's own tensor, under its name.
        added[name] = not any(
            each in own or each.replace(".ln_tuning_layers.default", "") in own for each in bare
        )
    return Finding(
        "trains tensors that the model did not have: "
        + ", ".join(f"{name} {'yes' if new else 'no'}" for name, new in added.items()),
        added,
    )


def one_call_many_methods() -> Finding:
    """Wrap the same model by several methods with the same call."""
    from peft import IA3Config, LoHaConfig, LoraConfig, VeraConfig, get_peft_model

    targets, task = ["q_proj", "v_proj"], "CAUSAL_LM"
    configs: list[Any] = [
        LoraConfig(target_modules=targets, task_type=task),
        LoHaConfig(target_modules=targets, task_type=task),
        VeraConfig(target_modules=targets, task_type=task, r=4),
        IA3Config(target_modules=targets, feedforward_modules=[], task_type=task),
    ]
    counts = {
        config.peft_type.value: get_peft_model(tiny_llama(), config).get_nb_trainable_parameters()[
            0
        ]
        for config in configs
    }
    return Finding(
        "get_peft_model with four configurations, parameters trained in a small Llama: "
        + ", ".join(f"{name} {count:,}" for name, count in counts.items()),
        {name: count > 0 for name, count in counts.items()},
    )


def update_is_a_product() -> Finding:
    """Compare the update that PEFT adds with (alpha / r) · B · A, and find its rank."""
    import torch

    rank, alpha = 4, 8
    wrapped = with_lora(tiny_llama(), trained=True, r=rank, lora_alpha=alpha)
    layer = wrapped.base_model.model.model.layers[0].self_attn.q_proj
    update = layer.get_delta_weight("default").detach()
    product = layer.lora_B["default"].weight.detach() @ layer.lora_A["default"].weight.detach()
    found = int(torch.linalg.matrix_rank(update))
    same = torch.allclose(update, alpha / rank * product, atol=1e-7)
    return Finding(
        f"PEFT's update of a {'×'.join(map(str, update.shape))} weight is "
        f"{'' if same else 'not '}alpha/r · B·A = {alpha / rank:g} · B·A, of rank {found}",
        {"PEFT's LoRA": same and found == rank},
    )


def trainer_takes_a_peft_config() -> Finding:
    """Read from TRL's code whether `SFTTrainer` takes a `peft_config`."""
    spec = find_spec("trl")
    if spec is None or spec.origin is None:
        return Finding("TRL is not installed", {"TRL": False})
    # Its import takes seconds; its code tells the same.
    code = Path(spec.origin).with_name("trainer") / "sft_trainer.py"
    tree = ast.parse(code.read_text(encoding="utf-8"))
    trainer = next(
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "SFTTrainer"
    )
    init = next(
        node for node in trainer.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )  # fmt: skip
    names = [argument.arg for argument in (*init.args.args, *init.args.kwonlyargs)]
    return Finding(
        f"SFTTrainer takes {', '.join(name for name in names if name != 'self')}",
        {"TRL's SFTTrainer": "peft_config" in names},
    )
