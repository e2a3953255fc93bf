"""Low-rank updates in other factors than LoRA's two: AdaLoRA, VeRA, MiSS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labs_lib.step.adapters.entry import (
    AdaptedInput,
    Adapter,
    AdapterSettings,
    Brought,
    Linear,
    Training,
)
from labs_lib.step.adapters.lora import LORA, factor_elements
from labs_lib.step.states import Shape

if TYPE_CHECKING:
    from peft import PeftConfig

# AdaLoRA: B·diag(E)·A, whose least important ranks are taken away on the way ------------------


def first_rank(rank: int) -> int:
    """Return the rank that AdaLoRA begins with, to end at `rank` on average: PEFT's 12 for 8."""
    return -(-3 * rank // 2)


def _adalora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import AdaLoraConfig

    first = settings.steps // 6
    last = min(max(1, settings.steps // 3), settings.steps - 1 - first)
    alpha: Any = settings.alpha
    bias: Any = settings.bias
    return AdaLoraConfig(
        init_r=first_rank(settings.rank),
        target_r=settings.rank,
        lora_alpha=alpha,
        lora_dropout=settings.dropout,
        bias=bias,
        target_modules=targets,
        total_step=settings.steps,
        tinit=first,
        tfinal=last,
        **common,
    )


def _adalora_tensors(linear: Linear, rank: int) -> list[Shape]:
    first = first_rank(rank)
    return [(first, linear.in_features), (linear.out_features, first), (first, 1)]


def _adalora_brought(of: Brought) -> int:
    return of.itemsize * of.depth * len(of.linears)  # each map's rank, by which it is scaled


def _allocate(model: Any, step: int) -> None:
    model.base_model.update_and_allocate(step)


def _orthogonality(model: Any) -> Any:
    """Return what AdaLoRA adds to the loss, so that A's rows and B's columns stay orthogonal.

    PEFT adds it in the forward pass of its own model, which the course's loss goes past.
    """
    import torch

    apart: list[Any] = []
    for name, factor in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            products = factor @ factor.T if ".lora_A." in name else factor.T @ factor
            unit = torch.eye(len(products), dtype=products.dtype, device=products.device)
            apart.append((products - unit).square().sum().sqrt())
    return model.peft_config["default"].orth_reg_weight * torch.stack(apart).mean()


ADALORA = replace(
    LORA,
    title="AdaLoRA",
    config=_adalora_config,
    tensors=_adalora_tensors,
    saved=None,
    brought=_adalora_brought,
    grows_in_lines=False,  # half as much again, rounded up
    frozen="ranknum",  # a constant, which PEFT leaves to be trained where a model is only shapes
    training=Training(
        after_step=_allocate,
        extra_loss=_orthogonality,
        no_resuming="AdaLoRA decides by the gradients of all earlier steps, which no checkpoint "
        "keeps",
    ),
)

# VeRA: two random matrices for all layers, and two trained vectors for each map ----------------


def _vera_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import VeraConfig

    return VeraConfig(
        r=settings.rank, vera_dropout=settings.dropout, target_modules=targets, **common
    )


def _vera_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [(linear.out_features,), (rank,)]


def _vera_saved(at: AdaptedInput) -> int:
    # What each vector multiplies; neither product's input, since no matrix is trained.
    c, a, many = at.compute_itemsize, at.adapter_itemsize, len(at.linears)
    masks = many * a * at.tokens * at.width * (at.dropout > 0)
    scaled = at.tokens * sum(at.rank + each.out_features for each in at.linears)
    if at.autocast:
        return masks + c * (scaled + factor_elements(at))
    return masks + a * scaled


def _vera_brought(of: Brought) -> int:
    # One pair for all layers, as wide as the widest map.
    widest = max((each.in_features for each in of.linears), default=0)
    tallest = max((each.out_features for each in of.linears), default=0)
    return of.itemsize * of.rank * (widest + tallest)


VERA = Adapter(
    title="VeRA",
    prefix="vera_",
    config=_vera_config,
    tensors=_vera_tensors,
    saved=_vera_saved,
    brought=_vera_brought,
)

# MiSS: one factor; the input is added up in pieces of `rank` numbers ---------------------------


def _miss_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import MissConfig

    return MissConfig(
        r=settings.rank,
        miss_dropout=settings.dropout,
        target_modules=targets,
        task_type=common["task_type"],
    )


def _miss_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [(rank, linear.out_features)]


def _miss_saved(at: AdaptedInput) -> int:
    c, a, many = at.compute_itemsize, at.adapter_itemsize, len(at.linears)
    masks = many * a * at.tokens * at.width * (at.dropout > 0)
    if at.autocast:
        copies = sum(at.rank * each.out_features for each in at.linears)
        return masks + c * (many * at.tokens * at.rank + copies)
    return masks + many * a * at.tokens * at.rank


MISS = Adapter(
    title="MiSS",
    prefix="miss_",
    config=_miss_config,
    tensors=_miss_tensors,
    saved=_miss_saved,
)
