"""The logits of each row's last token, without a copy of the vocabulary's matrix for each row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def head_in_one_product(model: Any) -> Iterator[None]:
    """Have the vocabulary's projection take all rows in one matrix product inside the block.

    While a model answers, transformers hands it the last position of every row: a view with gaps,
    (rows, 1, width). Of such a view and a matrix torch makes a batch of products, and on a CPU in
    bf16 it first copies the matrix once a row: 40 rows and SmolLM2's 49,152 × 576 numbers are 2.1
    GiB. In one piece the same numbers go through one product. `model` may be PEFT's.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = inner.get_output_embeddings()
    if head is None:
        yield
        return
    hook = head.register_forward_pre_hook(_in_one_piece)
    try:
        yield
    finally:
        hook.remove()


def _in_one_piece(_head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    hidden, *rest = inputs
    return hidden.contiguous(), *rest
