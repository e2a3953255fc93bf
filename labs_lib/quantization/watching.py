"""What PyTorch really computes in a 4-bit layer: each product, each restored weight."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

_RESTORING = ("gemm_4bit", "dequantize_4bit")
_SHOWN = (*_RESTORING, "mm", "dequantize_blockwise", "_to_copy")


class Watch(TorchDispatchMode):
    """Print each product, restored weight and change of dtype inside the block.

    A line gives the operation, dtype and shape of what goes in, and of what comes out.
    `times_restored` counts how often a weight was restored from its 4 bits.
    """

    def __init__(self) -> None:
        """Start counting at zero."""
        super().__init__()
        self.times_restored = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, and print it if it is one of those worth seeing."""
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        self.times_restored += name in _RESTORING
        if name in _SHOWN:
            given = " × ".join(_kind(part) for part in args[:2] if isinstance(part, torch.Tensor))
            print(f"  {name:20} {given} → {_kind(result)}")
        return result


def readiness(model: nn.Module) -> dict[str, str]:
    """Return, part by part, how a causal language model is stored and what would be trained."""
    parts = list(model.parameters())
    four_bit = [part for part in parts if part.dtype == torch.uint8]
    others = [part for part in parts if part.dtype != torch.uint8]
    embedding: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[operator]
    norms = [p.dtype for name, p in model.named_parameters() if "norm" in name]
    return {
        "4-bit weights": f"uint8, {sum(part.nbytes for part in four_bit) / 1e6:.1f} MB",
        "embedding": f"{_dtype(embedding.dtype)}, {embedding.nbytes / 1e6:.1f} MB",
        "norms": ", ".join(sorted({_dtype(each) for each in norms})),
        "4-bit weights that ask for a gradient": str(sum(p.requires_grad for p in four_bit)),
        "other tensors that ask for a gradient": str(sum(p.requires_grad for p in others)),
        "gradient checkpointing": "on" if _checkpoints(model) else "off",
    }


def _checkpoints(model: Any) -> bool:
    return bool(getattr(model, "is_activation_checkpointing", False))


def _kind(tensor: torch.Tensor) -> str:
    """Say dtype and shape in few letters."""
    return f"{_dtype(tensor.dtype)}{list(tensor.shape)}"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
