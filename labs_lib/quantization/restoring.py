"""Answering with a 4-bit model on a CPU without restoring every weight for every token."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def restored_weights(model: nn.Module) -> Iterator[int]:
    """Multiply by weights restored once, inside the block; yields how many layers that is.

    bitsandbytes' `Linear4bit` restores its weight at each call.  Training needs that: keeping
    the copies would be the complete model in 16 bits.  Writing an answer calls every layer once a
    token, and there restoring is most of the time on a CPU.  Inside the block each 4-bit layer
    on a CPU keeps its restored copy, in the compute dtype; the products are those of the
    4-bit layer.  No gradients.  Left alone are layers elsewhere than on a CPU (their kernels
    are fast and their memory is short), layers that another such block has restored already,
    and the course's own `quantization.Linear4bit`.
    """
    changed: list[tuple[dict[str, Any], Any]] = []
    try:
        for module in _four_bit_layers(model):
            weight: Any = module.weight
            state = getattr(weight, "quant_state", None)
            if state is None or weight.device.type != "cpu":
                continue
            if hasattr(vars(module).get("forward"), "restores"):
                continue
            forward = _restored_forward(module, state)
            attributes = vars(module)
            changed.append((attributes, attributes.get("forward")))
            attributes["forward"] = forward
        yield len(changed)
    finally:
        for attributes, earlier in changed:
            del attributes["forward"]
            if earlier is not None:  # accelerate puts a forward of its own there
                attributes["forward"] = earlier


def _four_bit_layers(model: nn.Module) -> list[Any]:
    """Return bitsandbytes' 4-bit layers; without bitsandbytes in use there are none."""
    if "bitsandbytes" not in sys.modules:
        return []
    from bitsandbytes.nn.modules import Linear4bit

    return [module for module in model.modules() if isinstance(module, Linear4bit)]


def _restored_forward(module: Any, state: Any) -> Any:
    from bitsandbytes.functional import dequantize_4bit

    compute_dtype = module.compute_dtype or state.dtype
    wanted = copy.copy(state)
    wanted.dtype = compute_dtype  # restored from the codes at once, not rounded on the way
    with torch.no_grad():
        weight = dequantize_4bit(module.weight.data, wanted)

    def forward(x: torch.Tensor) -> torch.Tensor:
        bias = None if module.bias is None else module.bias.to(compute_dtype)
        with torch.no_grad():
            return nn.functional.linear(x.to(compute_dtype), weight, bias).to(x.dtype)

    forward.restores = module  # pyright: ignore[reportFunctionMemberAccess]
    return forward
