"""LoRA, and what changes its scaling, magnitude or optimizer: rsLoRA, DoRA, LoRA+, LoRA-FA."""

from __future__ import annotations

from collections.abc import Sequence
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
from labs_lib.step.states import Shape

if TYPE_CHECKING:
    from peft import PeftConfig

PLUS_RATIO = 16.0
"""How many times the rate of A is that of B under LoRA+ (arXiv 2402.12354 §5 takes 2⁴)."""


def lora_config(
    settings: AdapterSettings, targets: Any, common: dict[str, Any], **extra: Any
) -> PeftConfig:
    """Return PEFT's configuration of LoRA with `extra` arguments."""
    from peft import LoraConfig

    fields: dict[str, Any] = {
        "r": settings.rank,
        "lora_alpha": settings.alpha,  # PEFT divides; floats work
        "lora_dropout": settings.dropout,
        "bias": settings.bias,
        "target_modules": targets,
        "use_rslora": settings.rslora,
    }
    return LoraConfig(**{**fields, **common, **extra})


def _rslora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    return lora_config(replace(settings, rslora=True), targets, common)


def _dora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    return lora_config(settings, targets, common, use_dora=True)


def _lora_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [(rank, linear.in_features), (linear.out_features, rank)]


def _dora_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [*_lora_tensors(linear, rank), (linear.out_features,)]


def _only_b(linear: Linear, rank: int) -> list[Shape]:
    return [(linear.out_features, rank)]


def lora_saved(at: AdaptedInput) -> int:
    """Return the bytes that LoRA's maps on one input keep for the backward pass."""
    c, a, rank, many = at.compute_itemsize, at.adapter_itemsize, at.rank, len(at.linears)
    if at.autocast:  # keeps 16-bit copies of input and adapter
        masks = many * a * at.tokens * at.width * (at.dropout > 0)
        return masks + c * (many * at.tokens * (at.width + rank) + factor_elements(at))
    if at.dropout > 0:  # the input after dropout and the mask, one of each for each adapter
        inputs = 2 * many * a * at.tokens * at.width
    elif a != c:  # a copy in the adapter's precision for each adapter
        inputs = many * a * at.tokens * at.width
    else:
        inputs = 0 if at.already_saved else c * at.tokens * at.width
    return inputs + many * a * at.tokens * rank


def factor_elements(at: AdaptedInput) -> int:
    """Return the elements of the two factors of each map on one input."""
    return sum(at.rank * (each.in_features + each.out_features) for each in at.linears)


def _fa_saved(at: AdaptedInput) -> int:
    # A is not trained, so no gradient asks for its input: what enters B is all.
    c, a, many = at.compute_itemsize, at.adapter_itemsize, len(at.linears)
    masks = many * a * at.tokens * at.width * (at.dropout > 0)
    if at.autocast:
        return masks + c * (many * at.tokens * at.rank + factor_elements(at))
    return masks + many * a * at.tokens * at.rank


def _fa_brought(of: Brought) -> int:
    return of.depth * of.itemsize * of.rank * sum(each.in_features for each in of.linears)


def _dora_saved(at: AdaptedInput) -> int:
    # Both paths' results, to be scaled by the magnitude.
    both = at.adapter_itemsize + at.compute_itemsize
    results = sum(both * at.tokens * each.out_features for each in at.linears)
    return results + lora_saved(at)


def _dora_temporary(linears: Sequence[Linear], itemsize: int) -> int:
    # To find the whole weight's norm PEFT sends a unit matrix through the adapter: it, and four
    # copies of the product.
    sizes = [
        itemsize * each.in_features * (each.in_features + 4 * each.out_features) for each in linears
    ]
    return max(sizes, default=0)


def _plus_optimizer(
    model: Any, kind: type, options: dict[str, Any], _settings: AdapterSettings
) -> Any:
    import peft.optimizers

    building: Any = peft.optimizers  # PEFT leaves this function's types partly out
    return building.create_loraplus_optimizer(model, kind, loraplus_lr_ratio=PLUS_RATIO, **options)


def _fa_optimizer(
    model: Any, _kind: type, options: dict[str, Any], settings: AdapterSettings
) -> Any:
    from peft.optimizers import create_lorafa_optimizer

    alpha: Any = settings.alpha
    return create_lorafa_optimizer(model, settings.rank, alpha, options["lr"])


LORA = Adapter(
    title="LoRA",
    prefix="lora_",
    config=lora_config,
    tensors=_lora_tensors,
    saved=lora_saved,
)
RSLORA = replace(LORA, title="rsLoRA", config=_rslora_config)
LORA_PLUS = replace(LORA, title="LoRA+", training=Training(optimizer=_plus_optimizer))
LORA_FA = replace(
    LORA,
    title="LoRA-FA",
    tensors=_only_b,
    saved=_fa_saved,
    brought=_fa_brought,
    frozen="lora_A",
    training=Training(
        optimizer=_fa_optimizer,
        no_resuming="PEFT's LoRA-FA optimizer keeps its states by name, where no checkpoint of the "
        "course is checked",
    ),
)
DORA = replace(
    LORA,
    title="DoRA",
    config=_dora_config,
    tensors=_dora_tensors,
    saved=_dora_saved,
    temporary=_dora_temporary,
)
