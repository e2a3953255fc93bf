"""Trained norms: kept in fp32, they stand before maps of a base that may be in 16 bits."""

from __future__ import annotations

from typing import Any


def keep_precision(model: Any) -> list[str]:
    """Have each norm that PEFT trains hand on what it is given in the same precision.

    Autocast does that for the maps behind a norm while a model trains; an answer is written without
    it. Returns the names of the norms, in the base model.
    """
    from peft.tuners.ln_tuning.layer import LNTuningLayer

    names = []
    base = model.get_base_model()
    for name, module in base.named_modules():
        if isinstance(module, LNTuningLayer):
            names.append(name)
            if not module._forward_hooks:
                module.register_forward_hook(_in_the_inputs_precision)
    return names


def _in_the_inputs_precision(_norm: Any, inputs: tuple[Any, ...], output: Any) -> Any:
    return output.to(inputs[0].dtype)
