"""The gradient of a table of words that is the output head too, made once and not three times.

torch makes a whole table for the head, another one, almost all of it zeros, for the few words that
were looked up, and a third for their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn


def has_one_table(model: Any) -> bool:
    """Return whether a model learns a table of words that is its head's too, and only looks it up.

    Only one process may then have the words `added_to_head`: several would send each other the
    head's gradient before the words are in it.
    """
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    if type(words) is not nn.Embedding or head is None or head.weight is not words.weight:
        return False
    plain = words.max_norm is None and not words.scale_grad_by_freq and not words.sparse
    return plain and words.weight.requires_grad


@contextmanager
def added_to_head(model: Any, wanted: bool = True) -> Iterator[None]:
    """Add the words' gradients to the head's table inside the block; the model `has_one_table`."""
    if not wanted:
        yield
        return
    words = model.get_input_embeddings()
    looked_up: list[tuple[torch.Tensor, torch.Tensor]] = []

    def add(weight: torch.Tensor) -> None:
        for ids, gradient in looked_up:
            assert weight.grad is not None
            weight.grad.index_add_(0, ids, gradient.to(weight.grad.dtype))
        looked_up.clear()

    hook = words.weight.register_post_accumulate_grad_hook(add)
    words.forward = partial(_looked_up, words, looked_up)
    try:
        yield
    finally:
        del words.forward
        hook.remove()


def _looked_up(words: nn.Embedding, looked_up: list[Any], ids: torch.Tensor) -> torch.Tensor:
    found: Any = _Words.apply(words.weight, ids, words.padding_idx, looked_up)
    return found


class _Words(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: torch.Tensor,
        ids: torch.Tensor,
        padding: int | None,
        looked_up: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> torch.Tensor:
        ctx.save_for_backward(ids)
        ctx.padding, ctx.looked_up = padding, looked_up
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        (ids,) = ctx.saved_tensors
        ids, gradient = ids.flatten(), outgoing[0].flatten(0, -2)
        if ctx.padding is not None:  # its row does not learn
            kept = ids != ctx.padding
            ids, gradient = ids[kept], gradient[kept]
        ctx.looked_up.append((ids, gradient))
        return None, None, None, None
