"""RMSNorm as one function where a CPU computes in bf16: fewer passes, and half as much to keep."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from labs_lib.step.families import family_of
from labs_lib.training.engine.precision import BF16, computes_in_bf16


def normalize_at_once(model: Any) -> None:
    """Let the norms of Llama and its kin compute in one function, under bf16 autocast on a CPU.

    Their result is in bf16: what follows a norm is a product, which autocast takes in bf16 anyway.
    Elsewhere they do what they did. Other families are left as they are.
    """
    if family_of(model.config.model_type).gated:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
                module.forward = MethodType(_normalized, module)


def normalize_in_steps(model: Any) -> None:
    """Take back what `normalize_at_once` changed."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "__func__", None) is _normalized:
            del module.forward


def _normalized(self: Any, x: torch.Tensor) -> torch.Tensor:
    if not computes_in_bf16(x):
        return type(self).forward(self, x)
    return _Normalized.apply(x, self.weight, self.variance_epsilon)  # pyright: ignore[reportReturnType]


class _Normalized(torch.autograd.Function):
    """x (…, width) / √(mean x² + ε) · weight, computed in fp32, in bf16; keeps x and the root."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = x.to(torch.float32, copy=True)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return wide.mul_(scale).mul_(weight).to(BF16)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        x, weight, scale = ctx.saved_tensors
        gradient = outgoing[0].float()
        normal = x.float() * scale
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * normal).flatten(0, -2).sum(0).to(weight.dtype)
        gradient.mul_(weight)
        along = torch.linalg.vecdot(gradient, normal)[..., None].div_(x.shape[-1])
        of_x = gradient.addcmul_(normal, along, value=-1).mul_(scale)
        return of_x.to(x.dtype), of_weight, None
