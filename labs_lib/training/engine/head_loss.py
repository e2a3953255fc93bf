"""The loss of the answers' tokens, without a table of logits that outlives its use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from labs_lib.memory.formula_sizes import POSITIONS_AT_ONCE
from labs_lib.training.engine.precision import computes_in_bf16, rounded_factors

# Some families scale or cap their logits after the projection, under these names. The list need
# not be whole: `loss_check` holds the loss against the model's own. It saves what shows only once
# the logits have grown, as a cap does.
LOGITS_CHANGED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def plain_head(model: Any) -> tuple[nn.Module, nn.Linear] | None:
    """Return a causal model's body and its vocabulary projection, where nothing lies between.

    None where the projection has a bias, carries an adapter, or the family changes its logits
    afterwards, and where an adapter puts trained vectors in front of the text: there the model's
    own forward pass must make them. `model` may be PEFT's.
    """
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return None
    # PEFT leaves `peft_config` on the model that it wraps, too; only the wrapper has a base.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = getattr(inner, getattr(inner, "base_model_prefix", ""), None)
    head = inner.get_output_embeddings()
    configs = (inner.config, inner.config.get_text_config())
    if any(
        getattr(config, name, None) is not None for config in configs for name in LOGITS_CHANGED
    ):
        return None
    if body is None or type(head) is not nn.Linear or head.bias is not None:
        return None
    return body, head


def summed_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    *,
    logits_in_fp32: bool = False,
) -> torch.Tensor:
    """Return the summed cross-entropy of `labels` under the logits `hidden @ weight.T`.

    `hidden` is (positions, width), `weight` (vocabulary, width), `labels` (positions,), all of
    them tokens. The gradient, softmax minus one-hot, is taken while the logits are there, so only
    `POSITIONS_AT_ONCE` rows of them ever exist, once. The idea is that of the fused losses of
    Liger Kernel (arXiv 2410.10989).

    With `logits_in_fp32` a weight in fp32 is multiplied as it is, under bf16 autocast on a CPU: its
    numbers are rounded on the way, their sums are not, and no copy in bf16 is made of it, which
    would cost more time than the product.
    """
    return _SummedLoss.apply(hidden, weight, labels, logits_in_fp32)  # pyright: ignore[reportReturnType]


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        logits_in_fp32: bool,
    ) -> torch.Tensor:
        learns, weight_learns = ctx.needs_input_grad[:2]
        loss = hidden.new_zeros((), dtype=torch.float32)
        hidden_grad = torch.zeros_like(hidden) if learns else None
        weight_grad = None
        with _products(hidden, logits_in_fp32 and weight.dtype == torch.float32) as dtype:
            factor = weight.to(dtype)  # once: autocast would copy it for each product
            for start in range(0, len(labels), POSITIONS_AT_ONCE):
                part = slice(start, start + POSITIONS_AT_ONCE)
                target = labels[part, None]
                rows = hidden[part].to(dtype)
                logits = (rows @ factor.T).float()
                logits -= logits.amax(-1, keepdim=True)
                right = logits.gather(-1, target)
                total = logits.exp_().sum(-1, keepdim=True)
                loss += (total.log() - right).sum()
                if learns or weight_learns:
                    gradient = logits.div_(total)
                    gradient.scatter_add_(-1, target, torch.full_like(right, -1))
                    gradient = gradient.to(dtype)
                    if hidden_grad is not None:
                        hidden_grad[part] = gradient @ factor
                    if weight_learns:
                        weight_grad = _with_product(weight_grad, gradient.T, rows, weight.dtype)
                    del gradient
                del logits  # or the next part's would stand beside them
        if weight_learns and weight_grad is None:
            weight_grad = torch.zeros_like(weight)
        ctx.save_for_backward(hidden_grad, weight_grad)
        return loss

    @staticmethod
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        hidden_grad, weight_grad = (
            gradient if gradient is None else gradient.mul_(outgoing[0].to(gradient.dtype))
            for gradient in ctx.saved_tensors
        )
        return hidden_grad, weight_grad, None, None


@contextmanager
def _products(hidden: torch.Tensor, in_fp32: bool) -> Iterator[torch.dtype]:
    """Have products be as autocast has them; yields the precision to give their factors in."""
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    rounds = in_fp32 and computes_in_bf16(hidden)
    with torch.autocast(kind, enabled=False), rounded_factors() if rounds else nullcontext():
        yield torch.float32 if rounds else dtype


def _with_product(
    total: torch.Tensor | None, left: torch.Tensor, right: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Return `total`, if any, plus left @ right, as a rule without a second table of its size."""
    if total is None:
        return (left @ right).to(dtype)
    if left.dtype == dtype:
        return total.addmm_(left, right)
    total += left @ right
    return total
