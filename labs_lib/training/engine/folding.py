"""An adapter folded into its base for as long as answers are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labs_lib.training.adapter.tying import shared_weights


@contextmanager
def folded_in(model: Any, fold: bool = True) -> Iterator[bool]:
    """Fold an adapter into its base's fp32 weights inside the block; yields whether it was.

    Writing an answer then costs what the base's own costs, without an adapter's two more
    products a layer. Only in fp32, where folding rounds no more than adding the products does;
    a 4-bit base has no weights to fold into, and a matrix that two modules share would change in
    both. Afterwards the weights are back up to a rounding error, exactly where B is zero: use it
    on a model that is thrown away next, or untrained. `fold` False leaves the model as it is.
    """
    from peft import PeftModel

    if not (fold and isinstance(model, PeftModel) and _folds(model)):
        yield False
        return
    model.merge_adapter()
    try:
        yield True
    finally:
        model.unmerge_adapter()


def _folds(model: Any) -> bool:
    import torch
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    shared = {id(getattr(module, name)) for module, name in shared_weights(model)}
    layers = [part for part in model.modules() if isinstance(part, BaseTunerLayer)]
    for layer in layers:
        if not isinstance(layer, LoraLayer):
            return False
        weight = getattr(layer.get_base_layer(), "weight", None)
        if not isinstance(weight, torch.nn.Parameter) or weight.dtype != torch.float32:
            return False  # an expert's parameters, or a quantized layer's
        if hasattr(weight, "full_tensor"):
            return False  # one process's part of it; a 4-bit weight's bits may be kept as fp32
        if id(weight) in shared:
            return False
    return bool(layers)
