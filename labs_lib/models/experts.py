"""Mixtures of experts whose experts are one stacked parameter, as PEFT's LoRA reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labs_lib.errors import LabError
from labs_lib.step.adapters import is_adapter_tensor

# What the experts' maps and the router were called when each was a module of its own.
_NAMES = ("gate", "gate_proj", "up_proj", "down_proj", "w1", "w3", "w2")


def expert_targets(model: Any) -> list[str]:
    """Return the names by which PEFT's `target_modules` reaches the experts and the router.

    transformers 5 stacks a layer's experts into parameters of three dimensions, which are no linear
    modules; for the families whose earlier layout it knows PEFT takes the earlier names and adapts
    those parameters. Empty for a model without such experts, or of a family that PEFT reaches no
    experts of.
    """
    if not _stacked(model):
        return []
    left = _left_as_modules(model, _NAMES)
    return [name for name in _NAMES if name not in left]


def check_expert_targets(model: Any, names: Sequence[str]) -> None:
    """Raise `LabError` where PEFT cannot adapt `names` of a mixture of experts on their own."""
    if _stacked(model):
        _left_as_modules(model, names)


def _stacked(model: Any) -> bool:
    config = getattr(model, "config", None)
    if getattr(config, "model_type", None) is None:
        return False
    return any(
        parameter.ndim == 3 and ".experts." in f".{name}" for name, parameter in _parameters(model)
    )


def _parameters(model: Any) -> list[tuple[str, Any]]:
    # Inside a PEFT wrapper the stack is `….experts.base_layer.gate_up_proj`.
    return [(name, each) for name, each in model.named_parameters() if not is_adapter_tensor(name)]


def _plain(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _left_as_modules(model: Any, names: Sequence[str]) -> set[str]:
    """Return which of `names` PEFT leaves to be modules, after its own conversion of the rest."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    config = LoraConfig(target_modules=list(names))
    try:
        convert_peft_config_for_transformers(config, _plain(model), None)
    except ValueError as error:
        raise LabError(f"target_modules: {' '.join(str(error).split())}") from None
    return set(config.target_modules or ())
