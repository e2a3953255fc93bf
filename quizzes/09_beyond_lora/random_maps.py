"""Random linear maps with an adapter, as the exercises of this lesson are tried on them."""

from __future__ import annotations

import random
from typing import Any

SHAPES = ((7, 5, 2), (12, 9, 3), (6, 10, 4), (16, 8, 1))  # d_in, d_out, rank


def drawing(generator: random.Random) -> Any:
    """Return what draws a random matrix of a shape, in fp32."""
    import torch

    numbers = torch.Generator().manual_seed(generator.randint(0, 2**31))
    return lambda *shape: torch.randn(*shape, generator=numbers)


def peft_layer(weight: Any, bias: Any | None, rank: int, scaling: float, **how: Any) -> Any:
    """Return PEFT's adapted layer on a linear map with this weight and bias."""
    import torch
    from peft import LoraConfig, get_peft_model

    base = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    base.weight.data = weight.clone()
    if bias is not None:
        base.bias.data = bias.clone()
    alpha: Any = scaling * rank  # PEFT divides; floats work
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["map"], **how)
    wrapped: Any = get_peft_model(torch.nn.ModuleDict({"map": base}), config)
    return wrapped.base_model.model["map"].eval()
