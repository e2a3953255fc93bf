"""The gated feed-forward layer, with one large tensor less to keep until the backward pass."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu
from transformers.activations import ACT2FN

from labs_lib.step.families import family_of
from labs_lib.training.engine.adapted_gates import fed_at_once

SILU = (nn.SiLU, type(ACT2FN["silu"]))  # newer versions have a class of their own


def recompute_gates(model: Any) -> None:
    """Let the feed-forward layers compute silu(gate) twice in place of keeping it for each token.

    Of what the bundled model keeps for a step it is an eighth in full fine-tuning and a fifth under
    LoRA, and it costs next to nothing to compute; loss and gradients are the same to the bit.
    `model` may be PEFT's. It is left as it is where its family is not known to multiply silu(gate)
    and up.
    """
    if family_of(model.config.model_type).plainly_causal:
        for module in model.modules():
            if isinstance(getattr(module, "act_fn", None), SILU):
                module.forward = MethodType(_feed_forward, module)


def keep_gates(model: Any) -> None:
    """Take back what `recompute_gates` changed."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "__func__", None) is _feed_forward:
            del module.forward


def _feed_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    at_once = fed_at_once(self, x)
    if at_once is not None:
        return at_once
    return self.down_proj(_Gated.apply(self.gate_proj(x), self.up_proj(x)))


class _Gated(torch.autograd.Function):
    """silu(gate) · up, which keeps its two inputs alone."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        gate_gradient = torch.ops.aten.silu_backward(outgoing[0] * up, gate)
        return gate_gradient, silu(gate).mul_(outgoing[0])
