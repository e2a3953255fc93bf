"""How many parameters an adapter adds, exact to the unit, from shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.errors import choice_error
from labs_lib.lowrank.knobs import check_rank
from labs_lib.models.catalogue import Entry, config_of
from labs_lib.models.catalogue import entry as catalogue_entry
from labs_lib.models.experts import expert_targets
from labs_lib.models.targets import resolve_targets
from labs_lib.step.families import ends_with, family_of

if TYPE_CHECKING:
    from torch import nn


def count_lora_parameters(model: Any, targets: str | Sequence[str], rank: int) -> int:
    """Return the trainable parameters of LoRA at `rank`: Σ r · (d_in + d_out) over its layers.

    `model` is a catalogue name or `Entry` (torch is loaded for experts alone), a transformers
    configuration, or a model; `targets` is what `resolve_targets` takes. The count is PEFT's.
    Raises `LabError` for an unknown model or target, or a rank below 1. A rank above a layer's
    smaller dimension is counted, as PEFT would build it, though it adds nothing (`check_rank` says
    so for a given shape).
    """
    check_rank(rank)
    chosen = catalogue_entry(model) if isinstance(model, str) else model
    if isinstance(chosen, Entry) and chosen.family.experts:
        model = config_of(chosen)
    if not isinstance(model, (str, Entry)):
        built = meta_model(model) if hasattr(model, "to_dict") else model
        names = resolve_targets(built, targets)
        if set(names) & set(expert_targets(built)):
            return _pefts_count(built.config, names, rank)
        model = built
    return rank * sum(d_in + d_out for d_in, d_out in target_shapes(model, targets).values())


def count_bias_parameters(model: str | Entry, targets: str | Sequence[str], bias: str) -> int:
    """Return the bias parameters that PEFT trains besides the adapter, for a catalogue model.

    `bias` is "none", "lora_only" (the biases of the adapted layers) or "all" (every bias of the
    model, those of its layer norms too). Raises `LabError` for another word.
    """
    chosen = catalogue_entry(model) if isinstance(model, str) else model
    if bias == "none":
        return 0
    if bias == "lora_only":
        biased = {path: linear for path, linear in chosen.linear_modules().items() if linear.bias}
        return sum(biased[p].out_features for p in target_shapes(chosen, targets) if p in biased)
    if bias != "all":
        raise choice_error("bias", bias, ("none", "lora_only", "all"))
    in_a_layer = sum(linear.out_features for linear in chosen.linears if linear.bias)
    family = family_of(chosen.family.model_type)
    norms = family.norms if family.biased_norms else 0
    final = chosen.hidden_size if family.biased_norms else 0
    return chosen.layers * (in_a_layer + norms * chosen.hidden_size) + final


def target_shapes(model: Any, targets: str | Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return (d_in, d_out) of every layer that `targets` means, by its full module name."""
    if isinstance(model, str):
        model = catalogue_entry(model)
    if isinstance(model, Entry):
        names = resolve_targets(model, targets)
        shapes = {
            path: (linear.in_features, linear.out_features)
            for path, linear in model.linear_modules().items()
        }
        shapes["lm_head"] = (model.hidden_size, model.vocab_size)
        return {path: shape for path, shape in shapes.items() if _named(path, names)}
    from labs_lib.lowrank.injection import find_targets
    from labs_lib.lowrank.layer import features

    layers = find_targets(meta_model(model) if hasattr(model, "to_dict") else model, targets)
    return {path: features(layer, path) for path, layer in layers.items()}


def meta_model(config: Any) -> nn.Module:
    """Build a causal language model from a configuration: shapes only, no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def adapter_bytes(parameters: int, bits: int = 32) -> int:
    """Return the size of the adapter's weights on disk: PEFT saves the 32-bit factors it trains.

    A safetensors header of a few kilobytes comes on top.
    """
    return parameters * bits // 8


def _pefts_count(config: Any, names: list[str], rank: int) -> int:
    """Return the parameters of PEFT's own LoRA on a model of shapes alone.

    A stack of E experts gets matrices of E · rank rows.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    shapes: Any = meta_model(config)
    with torch.device("meta"):
        lora = LoraConfig(r=rank, target_modules=names, task_type="CAUSAL_LM")
        wrapped: Any = get_peft_model(shapes, lora)
    return wrapped.get_nb_trainable_parameters()[0]


def _named(path: str, names: list[str]) -> bool:
    return any(ends_with(path, name) for name in names)
