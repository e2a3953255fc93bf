"""A LoRA layer from scratch, the same as PEFT's for the same factors."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

from labs_lib.errors import LabError
from labs_lib.lowrank.knobs import check_dropout, check_rank, scaling_of


class LoRALinear(nn.Module):
    """A frozen linear layer plus a low-rank update: y = base(x) + scaling · B·A·dropout(x).

    Shapes: `lora_A` (r, d_in), `lora_B` (d_out, r); x (…, d_in) → y (…, d_out). The scaling is
    alpha/r, or alpha/√r with `use_rslora` (arXiv 2106.09685 §4.1; arXiv 2312.03732).

    `base` is an `nn.Linear` (a quantized one too, though it cannot be merged) or GPT-2's `Conv1D`.
    The factors are kept in 32 bits over a 16-bit base, as PEFT keeps them. Raises `LabError` for
    another kind of layer, a rank outside 1 … min(d_in, d_out), an alpha that is not above 0, or a
    dropout outside 0 ≤ p < 1.
    """

    def __init__(
        self,
        base: nn.Module,
        rank: int,
        alpha: float,
        *,
        dropout: float = 0.0,
        use_rslora: bool = False,
        name: str = "",
    ):
        super().__init__()
        self.d_in, self.d_out = features(base, name)
        check_rank(rank, self.d_out, self.d_in, name or type(base).__name__)
        self.scaling = scaling_of(rank, alpha, use_rslora)
        self.rank, self.alpha = rank, alpha
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.base = base.requires_grad_(False)
        weight = _weight(base)
        dtype = weight.dtype if weight.dtype == torch.float64 else torch.float32
        self.lora_A = nn.Parameter(torch.empty(rank, self.d_in, dtype=dtype, device=weight.device))
        self.lora_B = nn.Parameter(torch.empty(self.d_out, rank, dtype=dtype, device=weight.device))
        self.merged = False
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw A as PEFT does (Kaiming-uniform, a = √5) and set B to zero, so that ΔW = 0."""
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the base's output plus the update's; the base's alone once merged."""
        y = self.base(x)
        if self.merged:
            return y
        # Dropout falls on the adapter's input: the base always sees all of x.
        z = self.dropout(x.to(self.lora_A.dtype))
        update = F.linear(F.linear(z, self.lora_A), self.lora_B)
        return (y + update * self.scaling).to(y.dtype)

    def delta_weight(self) -> torch.Tensor:
        """Return ΔW = scaling · B·A, (d_out, d_in), also where the base keeps its weight turned."""
        return self.lora_B @ self.lora_A * self.scaling

    @torch.no_grad()
    def merge(self) -> None:
        """Add ΔW to the base's weight, so that the layer costs no more than the base.

        Exact up to rounding in the weight's dtype. Raises `LabError` if merged already, or if the
        base is quantized: adding to it would quantize anew and change the output.
        """
        if self.merged:
            raise LabError("merge: this layer is merged already; unmerge it first")
        self._add_to_base(self.delta_weight())
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Subtract ΔW from the base's weight again; raises `LabError` if it is not merged."""
        if not self.merged:
            raise LabError("unmerge: this layer is not merged")
        self._add_to_base(-self.delta_weight())
        self.merged = False

    def _add_to_base(self, delta: torch.Tensor) -> None:
        weight = _weight(self.base)
        if not weight.is_floating_point() or type(weight) is not nn.Parameter:
            raise LabError(
                f"merge: the base is quantized ({type(self.base).__name__}, "
                f"{str(weight.dtype).removeprefix('torch.')}); load it in 16 or 32 bits to merge"
            )
        weight.data += (delta.T if isinstance(self.base, Conv1D) else delta).to(weight.dtype)

    def extra_repr(self) -> str:
        """Show rank, alpha and scaling where PyTorch prints the module."""
        return f"rank={self.rank}, alpha={self.alpha:g}, scaling={self.scaling:g}"


def features(layer: nn.Module, name: str = "") -> tuple[int, int]:
    """Return (d_in, d_out) of an `nn.Linear` or a `Conv1D`; raise `LabError` for another layer."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if isinstance(layer, Conv1D):
        d_in, d_out = layer.weight.shape
        return d_in, d_out
    where = f" {name!r}" if name else ""
    raise LabError(
        f"base: the layer{where} is of type {type(layer).__name__}; legal: Linear, Conv1D"
    )


def _weight(base: nn.Module) -> torch.Tensor:
    weight = base.weight
    assert isinstance(weight, torch.Tensor)
    return weight
