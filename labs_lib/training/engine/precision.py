"""Where the quick ways of a CPU's bf16 apply."""

from __future__ import annotations

import torch

BF16 = torch.bfloat16


def computes_in_bf16(x: torch.Tensor) -> bool:
    """Return whether products of `x` are in bf16, on a CPU, by autocast."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == BF16
    )
