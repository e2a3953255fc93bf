"""Adapters into a real model by module name, without PEFT."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from transformers.pytorch_utils import Conv1D

from labs_lib.errors import LabError
from labs_lib.lowrank.knobs import check_dropout, check_rank, scaling_of
from labs_lib.lowrank.layer import LoRALinear, features
from labs_lib.models.experts import expert_targets
from labs_lib.models.targets import resolve_targets
from labs_lib.step.families import ends_with


def inject(
    model: nn.Module,
    rank: int,
    alpha: float,
    targets: str | Sequence[str],
    *,
    dropout: float = 0.0,
    use_rslora: bool = False,
) -> dict[str, LoRALinear]:
    """Freeze `model` and wrap each targeted linear layer in a `LoRALinear`, in place.

    `targets` is what `labs_lib.models.resolve_targets` takes: "all-linear", "attention", "q,v", or
    module names, matched as PEFT matches them, by the whole name or its last parts. Returns the new
    layers by the name of the module each replaced.

    Raises `LabError`, with the model untouched, for a name that matches no linear layer, a layer
    that has an adapter already, or an illegal rank, alpha or dropout.
    """
    if adapters(model):
        raise LabError("inject: this model has adapters already; eject them first")
    found = find_targets(model, targets)
    if experts := set(resolve_targets(model, targets)) & set(expert_targets(model)):
        raise LabError(
            f"inject: this model keeps its experts ({', '.join(sorted(experts))}) in stacked "
            f"parameters, and LoRALinear wraps linear layers; name some, or 'attention'"
        )
    for name, layer in found.items():  # before any layer is frozen
        d_in, d_out = features(layer, name)
        check_rank(rank, d_out, d_in, name)
    scaling_of(rank, alpha, use_rslora)
    check_dropout(dropout)
    wrapped = {
        name: LoRALinear(layer, rank, alpha, dropout=dropout, use_rslora=use_rslora, name=name)
        for name, layer in found.items()
    }
    model.requires_grad_(False)
    for name, layer in wrapped.items():
        layer.train(model.training)
        _replace(model, name, layer)
    for layer in wrapped.values():
        layer.lora_A.requires_grad_(True)
        layer.lora_B.requires_grad_(True)
    return wrapped


def eject(model: nn.Module) -> None:
    """Put every base layer back in its place, and what was merged into it with it.

    The weights stay frozen: call `model.requires_grad_(True)` to train them all again.
    """
    for name, layer in adapters(model).items():
        _replace(model, name, layer.base)


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter's ΔW to the weight beneath it."""
    for layer in adapters(model).values():
        layer.merge()


def unmerge_adapters(model: nn.Module) -> None:
    """Subtract every adapter's ΔW from the weight beneath it."""
    for layer in adapters(model).values():
        layer.unmerge()


def adapters(model: nn.Module) -> dict[str, LoRALinear]:
    """Return the model's `LoRALinear` layers by module name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, LoRALinear)}


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the model's `nn.Linear` and `Conv1D` layers by module name, the output head too."""
    return {
        name: part for name, part in model.named_modules() if isinstance(part, (nn.Linear, Conv1D))
    }


def find_targets(model: nn.Module, targets: str | Sequence[str]) -> dict[str, nn.Module]:
    """Return the linear layers that `targets` means, by module name (see `resolve_targets`)."""
    names = resolve_targets(model, targets)
    return {
        path: layer
        for path, layer in linear_layers(model).items()
        if any(ends_with(path, name) for name in names)
    }


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
