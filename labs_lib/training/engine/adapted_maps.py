"""A linear map and its LoRA adapter as one function, where a CPU computes in bf16.

PEFT turns the input of each adapter to the adapter's fp32 and autocast turns it back; scale and sum
are operations of their own, forward and backward. On a CPU with bf16 instructions the products are
so quick that these copies show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        if multiplies_at_once(module):
            del module.forward


def multiplies_at_once(module: Any) -> bool:
    """Return whether `multiply_at_once` changed this layer."""
    return getattr(vars(module).get("forward"), "__func__", None) is _adapted


@dataclass(frozen=True)
class AdaptedMap:
    """The map y = base(x) + scaling · (dropout(x) Aᵀ) Bᵀ, but for its factors A and B.

    `base` is a frozen linear layer, in 4 bits too; `dropped` is the share that dropout leaves out.
    """

    base: Any
    scaling: float
    dropped: float

    def forward(
        self, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return y, the scaled x Aᵀ, and dropout's mask; x is in bf16, (tokens, d_in)."""
        y, mask = self.base(x), None
        if self.dropped:
            mask = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - self.dropped)
            x = x * mask
        inner = (x @ a.to(BF16).T).mul_(self._scaling)
        return y.addmm_(inner, b.to(BF16).T), inner, mask

    def backward(
        self,
        of_y: torch.Tensor,
        x: torch.Tensor,
        kept: Sequence[torch.Tensor],
        factors: Sequence[torch.Tensor],
        of_x: torch.Tensor | None = None,
        x_learns: bool = True,
    ) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]:
        """Return the gradients of x, A and B, given that of y; that of x is added to `of_x`.

        `kept` are the last two of what `forward` returned. Without `x_learns` x has no gradient.
        """
        (inner, mask), (a, b) = kept, factors
        of_inner = (of_y @ b.to(BF16)).mul_(self._scaling)
        of_b = (of_y.T @ inner).to(b.dtype)
        of_a = (of_inner.T @ (x if mask is None else x * mask)).to(a.dtype)
        if not x_learns:
            return None, of_a, of_b
        weight = _weight(self.base)
        of_x = of_y @ weight if of_x is None else of_x.addmm_(of_y, weight)
        if mask is None:
            of_x.addmm_(of_inner, a.to(BF16))
        else:
            of_x += (of_inner @ a.to(BF16)).mul_(mask)
        return of_x, of_a, of_b

    @property
    def _scaling(self) -> float:
        return self.scaling / (1 - self.dropped)


def adapted_map(module: Any) -> tuple[AdaptedMap, torch.Tensor, torch.Tensor] | None:
    """Return the map of a layer that `multiply_at_once` changed, and its factors A and B.

    None where adapters are off or merged, and where the only one is not LoRA as the paper has it.
    """
    if module.disable_adapters or module.merged or len(module.active_adapters) != 1:
        return None
    (name,) = module.active_adapters
    if name not in module.lora_A or name in module.lora_variant or module.lora_bias[name]:
        return None
    dropout = module.lora_dropout[name]
    dropped = dropout.p if isinstance(dropout, torch.nn.Dropout) and dropout.training else 0.0
    found = AdaptedMap(module.get_base_layer(), module.scaling[name], dropped)
    return found, module.lora_A[name].weight, module.lora_B[name].weight


def _kinds() -> tuple[type, ...]:
    import peft.tuners.lora as lora

    four_bit = getattr(lora, "Linear4bit", None)  # absent without bitsandbytes
    return (LoraLinear,) if four_bit is None else (LoraLinear, four_bit)


def _adapted(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    parts = None if args or kwargs or not computes_in_bf16(x) else adapted_map(self)
    if parts is None:
        return type(self).forward(self, x, *args, **kwargs)
    result: Any = _Adapted.apply(x.to(BF16), *parts)
    return result


class _Adapted(torch.autograd.Function):
    """An adapted map of x in bf16, (…, d_in), with A and B in any dtype.

    It keeps x, of which maps with the same input share one, dropout's mask, and x Aᵀ.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, adapted: AdaptedMap, a: torch.Tensor, b: torch.Tensor
    ) -> torch.Tensor:
        y, *kept = adapted.forward(x.flatten(0, -2), a, b)
        ctx.save_for_backward(x, a, b, *kept)
        ctx.adapted = adapted
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        x, a, b, *kept = ctx.saved_tensors
        of_x, of_a, of_b = ctx.adapted.backward(
            outgoing[0].flatten(0, -2),
            x.flatten(0, -2),
            kept,
            (a, b),
            x_learns=ctx.needs_input_grad[0],
        )
        return None if of_x is None else of_x.view(x.shape), None, of_a, of_b


def _weight(base: Any) -> torch.Tensor:
    """Return a base layer's weight (d_out, d_in) in bf16, restored where it is in 4 bits."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return base.weight.to(BF16)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(base.weight.data, state).to(BF16)
