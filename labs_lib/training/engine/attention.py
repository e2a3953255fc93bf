"""Attention written out as products, where a CPU computes in bf16.

torch's fused kernel for CPUs is made for long rows. In bf16 it multiplies many small tiles: on rows
of 65 tokens, forward and backward, it takes three times as long as the products do one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from labs_lib.memory.formula_sizes import (
    KEPT_WEIGHTS_TOKENS,
    SCORES_AT_ONCE,
    WRITTEN_OUT_TOKENS,
)
from labs_lib.training.engine.precision import BF16, computes_in_bf16, rounded_factors


def may_write_out(
    query: torch.Tensor,
    key: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **_others: Any,
) -> bool:
    """Return whether `written_out` gives, sooner, what the fused kernel would."""
    length = query.shape[2]
    return (
        computes_in_bf16(query)
        and scaling is not None
        and not dropout
        and is_causal is not False
        and 1 < length == key.shape[2] <= WRITTEN_OUT_TOKENS
        and (sliding_window is None or length <= sliding_window)
    )


def written_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Return causal attention, (rows, length, heads, width) in bf16, for rows of up to 256 tokens.

    On longer rows the fused kernel is quicker: it leaves out the half of the scores that no token
    sees. `query` is (rows, heads, length, width); `key` and `value` may have fewer heads, each of
    which serves a group of the query's. Scores and their softmax are in fp32, the products of the
    weights in bf16, as in the fused kernel. The inputs are kept for the backward pass, and of rows
    of up to 96 tokens the weights, a few percent of what a layer keeps.
    """
    return _Attention.apply(query, key, value, scaling)  # pyright: ignore[reportReturnType]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        rows, length = len(query), query.shape[2]
        inputs = [_flat(each, key.shape[1]) for each in (query, key, value)]
        result = torch.empty_like(inputs[0])
        kept = None
        if length <= KEPT_WEIGHTS_TOKENS and any(ctx.needs_input_grad):
            kept = inputs[0].new_empty(*inputs[0].shape[:2], length)
        for part in _parts(inputs[0], length):
            q, k, v = (each[part] for each in inputs)
            weights = _weights(q, k, scaling).to(BF16)
            torch.bmm(weights, v, out=result[part])
            if kept is not None:
                kept[part] = weights
        ctx.save_for_backward(*inputs, kept)
        ctx.scaling, ctx.rows = scaling, rows
        ctx.dtypes = query.dtype, key.dtype, value.dtype
        return _by_tokens(result, rows, length)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        *inputs, kept = ctx.saved_tensors
        shared, length = len(inputs[1]) // ctx.rows, inputs[1].shape[1]
        gradient = _flat(outgoing[0].transpose(1, 2), shared)
        found = [torch.empty_like(each) for each in inputs]
        for part in _parts(gradient, length):
            q, k, v = (each[part] for each in inputs)
            of_q, of_k, of_v = (each[part] for each in found)
            weights = _weights(q, k, ctx.scaling) if kept is None else kept[part].float()
            rounded = weights.to(BF16) if kept is None else kept[part]
            torch.bmm(rounded.transpose(1, 2), gradient[part], out=of_v)
            of_weights = (gradient[part] @ v.transpose(1, 2)).float()
            of_scores = torch.ops.aten._softmax_backward_data(
                of_weights, weights, -1, torch.float32
            )
            del weights, rounded, of_weights
            of_scores = of_scores.mul_(ctx.scaling).to(BF16)
            torch.bmm(of_scores, k, out=of_q)
            torch.bmm(of_scores.transpose(1, 2), q, out=of_k)
        by_tokens = (_by_tokens(each, ctx.rows, length).transpose(1, 2) for each in found)
        of = (each.to(dtype) for each, dtype in zip(by_tokens, ctx.dtypes, strict=True))
        return *of, None


def _weights(query: torch.Tensor, key: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the softmax of the scores in fp32, (rows · shared heads, group · length, length)."""
    length = key.shape[1]
    with rounded_factors():  # they come from bf16: fp32 is for the result alone
        scores = query.float() @ key.float().transpose(1, 2)
    unseen = scores.new_full((length, length), float("-inf")).triu_(1)
    scores.mul_(scaling).view(-1, length, length).add_(unseen)
    return scores.softmax(-1)


def _flat(heads: torch.Tensor, shared: int) -> torch.Tensor:
    """Return (rows, heads, length, width) as (rows · shared heads, group · length, width)."""
    return heads.to(BF16).reshape(len(heads) * shared, -1, heads.shape[-1])


def _by_tokens(flat: torch.Tensor, rows: int, length: int) -> torch.Tensor:
    """Return the way back, as (rows, length, heads, width)."""
    return flat.view(rows, -1, length, flat.shape[-1]).transpose(1, 2).contiguous()


def _parts(query: torch.Tensor, length: int) -> Iterator[slice]:
    """Return which of the shared heads take their turn together."""
    many = max(1, SCORES_AT_ONCE // (query.shape[1] * length))
    return (slice(start, start + many) for start in range(0, len(query), many))
