"""Where the quick ways of a CPU's bf16 apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

BF16 = torch.bfloat16


def computes_in_bf16(x: torch.Tensor) -> bool:
    """Return whether products of `x` are in bf16, on a CPU, by autocast."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == BF16
    )


@contextmanager
def rounded_factors() -> Iterator[None]:
    """Let torch round both factors of each product in fp32 to bf16; sums and result stay in fp32.

    The result is exact where both factors come from bf16. oneDNN rounds while it packs them, so
    no copy is made; where it can't, on a CPU without bf16 instructions, it multiplies in fp32.
    """
    mkldnn: Any = torch.backends.mkldnn  # its module is an object that has more than it says
    settings = mkldnn.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before
