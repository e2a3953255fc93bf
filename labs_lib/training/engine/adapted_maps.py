"""A linear map and its LoRA adapter as one function, where a CPU computes in bf16.

PEFT turns the input of each adapter to the adapter's fp32 and autocast turns it back; scale and sum
are operations of their own, forward and backward. On a CPU with bf16 instructions the products are
so quick that these copies show.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch.autograd.function import once_differentiable

from labs_lib.step.families import family_of
from labs_lib.training.engine.precision import BF16, computes_in_bf16


def multiply_at_once(model: Any) -> None:
    """Let each linear map under LoRA compute base and adapter in one function, under bf16 autocast.

    The base may be bitsandbytes' 4-bit layer. Elsewhere than under bf16 autocast on a CPU the
    layers do what they did. Left alone are other families than Llama and its kin, variants of
    LoRA, trained biases, several adapters at once.
    """
    if family_of(model.config.model_type).gated:
        for module in model.modules():
            if isinstance(module, _kinds()) and not module.fan_in_fan_out:
                module.forward = MethodType(_adapted, module)


def multiply_apart(model: Any) -> None:
    """Take back what `multiply_at_once` changed."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "__func__", None) is _adapted:
            del module.forward


def _kinds() -> tuple[type, ...]:
    import peft.tuners.lora as lora

    four_bit = getattr(lora, "Linear4bit", None)  # absent without bitsandbytes
    return (LoraLinear,) if four_bit is None else (LoraLinear, four_bit)


def _adapted(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    name = _plain_adapter(self)
    if args or kwargs or name is None or not computes_in_bf16(x):
        return type(self).forward(self, x, *args, **kwargs)
    dropout = self.lora_dropout[name]
    dropped = dropout.p if isinstance(dropout, torch.nn.Dropout) and dropout.training else 0.0
    factors = self.lora_A[name].weight, self.lora_B[name].weight
    result: Any = _Adapted.apply(
        x.to(BF16), *factors, self.scaling[name], dropped, self.get_base_layer()
    )
    return result


def _plain_adapter(module: Any) -> str | None:
    """Return the name of a layer's only adapter, where it is LoRA as the paper has it."""
    if module.disable_adapters or module.merged or len(module.active_adapters) != 1:
        return None
    (name,) = module.active_adapters
    if name not in module.lora_A or name in module.lora_variant or module.lora_bias[name]:
        return None
    return name


class _Adapted(torch.autograd.Function):
    """y = base(x) + scaling · (dropout(x) Aᵀ) Bᵀ, with x in bf16 (…, d_in), A and B in any dtype.

    It keeps x, of which maps with the same input share one, dropout's mask, and x Aᵀ.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
        dropped: float,
        base: Any,
    ) -> torch.Tensor:
        y = base(x)
        flat = x.flatten(0, -2)
        mask = None
        if dropped:
            mask = torch.empty_like(flat, dtype=torch.bool).bernoulli_(1 - dropped)
            flat = flat * mask
        inner = (flat @ a.to(BF16).T).mul_(scaling / (1 - dropped))
        y.view(-1, y.shape[-1]).addmm_(inner, b.to(BF16).T)
        ctx.save_for_backward(x, mask, inner, a, b)
        ctx.base, ctx.scaling = base, scaling / (1 - dropped)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        x, mask, inner, a, b = ctx.saved_tensors
        gradient = outgoing[0].flatten(0, -2)
        flat = x.flatten(0, -2)
        of_inner = (gradient @ b.to(BF16)).mul_(ctx.scaling)
        of_b = (gradient.T @ inner).to(b.dtype)
        of_a = (of_inner.T @ (flat if mask is None else flat * mask)).to(a.dtype)
        if not ctx.needs_input_grad[0]:
            return None, of_a, of_b, None, None, None
        of_x = gradient @ _weight(ctx.base)
        if mask is None:
            of_x.addmm_(of_inner, a.to(BF16))
        else:
            of_x += (of_inner @ a.to(BF16)).mul_(mask)
        return of_x.view(x.shape), of_a, of_b, None, None, None


def _weight(base: Any) -> torch.Tensor:
    """Return a base layer's weight (d_out, d_in) in bf16, restored where it is in 4 bits."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return base.weight.to(BF16)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(base.weight.data, state).to(BF16)
