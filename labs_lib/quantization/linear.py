"""A linear layer with a 4-bit weight, and the autograd function that makes it trainable around.

The weight is stored in 4 bits and multiplied in 16 or 32: it is de-quantized for the forward
pass, thrown away, and de-quantized again for the backward pass.  That second time is the price
of never keeping a 16-bit copy of the model.  Source: QLoRA, arXiv 2305.14314, §3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from labs_lib.errors import LabError
from labs_lib.quantization.blockwise import Quantized, dequantize, quantize
from labs_lib.quantization.double import DoubleQuantized
from labs_lib.quantization.settings import check_settings


class MultiplyDequantized(torch.autograd.Function):
    """`x @ W.T` for a quantized W, which gets no gradient.

    x (…, d_in) in the dtype to compute in; W (d_out, d_in).  Between forward and backward
    only the quantized weight is remembered, which the layer owns anyway: x is not needed,
    since dL/dx = dL/dy · W, and dL/dW is never asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: Quantized) -> torch.Tensor:
        """De-quantize, multiply, forget the 16-bit weight."""
        ctx.weight = weight
        return x @ dequantize(weight, x.dtype).T

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """De-quantize again; hand the gradient on to x, none to the weight."""
        (gradient,) = grad_outputs
        return gradient @ dequantize(ctx.weight, gradient.dtype), None


class Linear4bit(nn.Module):
    """A frozen linear layer whose weight (d_out, d_in) is stored in 4 bits.

    The parts are buffers, so `.to(device)` moves them and the optimizer never sees them.  A
    bias stays in its own precision and is frozen too.
    """

    packed: torch.Tensor
    scale_codes: torch.Tensor
    scale_absmax: torch.Tensor
    scale_offset: torch.Tensor
    absmax: torch.Tensor

    def __init__(
        self,
        weight: Quantized,
        bias: torch.Tensor | None = None,
        compute_dtype: torch.dtype | None = None,
    ):
        """Take a quantized (d_out, d_in) weight; compute in `compute_dtype`, or in that of x."""
        super().__init__()
        if len(weight.shape) != 2:
            raise LabError(
                f"weight: shape {tuple(weight.shape)} is not (d_out, d_in); a linear layer's is"
            )
        self.out_features, self.in_features = weight.shape
        self.compute_dtype = compute_dtype
        self._about = (weight.shape, weight.dtype, weight.quant_type, weight.block_size)
        self.double_quant = isinstance(weight.absmax, DoubleQuantized)
        self.register_buffer("packed", weight.packed)
        if isinstance(weight.absmax, DoubleQuantized):
            self.register_buffer("scale_codes", weight.absmax.codes)
            self.register_buffer("scale_absmax", weight.absmax.absmax)
            self.register_buffer("scale_offset", weight.absmax.offset)
        else:
            self.register_buffer("absmax", weight.absmax)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), False)

    @classmethod
    def from_linear(
        cls,
        linear: nn.Linear,
        quant_type: str = "nf4",
        double_quant: bool = True,
        compute_dtype: torch.dtype | None = None,
        block_size: int = 64,
    ) -> Linear4bit:
        """Quantize the weight of an `nn.Linear`, which stays as it is."""
        check_settings(quant_type, double_quant, block_size)
        weight = quantize(linear.weight, quant_type, block_size, double_quant)
        return cls(weight, linear.bias, compute_dtype)

    @property
    def quantized(self) -> Quantized:
        """The weight as stored: the buffers themselves, not copies."""
        scales = (
            DoubleQuantized(self.scale_codes, self.scale_absmax, self.scale_offset)
            if self.double_quant
            else self.absmax
        )
        return Quantized(self.packed, scales, *self._about)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ W.T + bias, (…, d_in) → (…, d_out), in the dtype of x."""
        if x.shape[-1] != self.in_features:
            raise LabError(f"x: last dimension {x.shape[-1]} is not in_features {self.in_features}")
        computed = x if self.compute_dtype is None else x.to(self.compute_dtype)
        product: Any = MultiplyDequantized.apply(computed, self.quantized)
        if self.bias is not None:
            product = product + self.bias.to(product.dtype)
        return product.to(x.dtype)

    def extra_repr(self) -> str:
        """Say the shapes and settings in the printed module."""
        _, _, quant_type, block_size = self._about
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, quant_type={quant_type!r}, block_size={block_size}, "
            f"double_quant={self.double_quant}"
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Linear4bit:
        # `.to(dtype)` and `.half()` must not touch the scales: their fp32 is part of the format.
        scales = {
            name: getattr(self, name)
            for name in ("absmax", "scale_absmax", "scale_offset")
            if name in self._buffers
        }
        super()._apply(fn, recurse)
        for name, scale in scales.items():
            moved = self._buffers[name]
            if moved is not None and moved.dtype != scale.dtype:
                self._buffers[name] = scale.to(moved.device)
        return self


def replace_linear_layers(
    model: nn.Module,
    quant_type: str = "nf4",
    double_quant: bool = True,
    compute_dtype: torch.dtype | None = None,
    block_size: int = 64,
    skip: tuple[str, ...] = ("lm_head",),
) -> list[str]:
    """Replace each `nn.Linear` of a model by a `Linear4bit`, in place; return their names.

    `skip` names the last part of modules left alone; the output layer stays in 16 bits, as
    transformers leaves it.
    """
    check_settings(quant_type, double_quant, block_size)
    found = [
        (name, module)
        for name, module in model.named_modules()
        if type(module) is nn.Linear and name.rpartition(".")[2] not in skip
    ]
    for name, module in found:
        parent, _, child = name.rpartition(".")
        layer = Linear4bit.from_linear(module, quant_type, double_quant, compute_dtype, block_size)
        setattr(model.get_submodule(parent), child, layer)
    return [name for name, _ in found]
