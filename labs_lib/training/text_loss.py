"""The loss on plain text: what a model that learned something else still knows of the language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch


@torch.inference_mode()
def text_loss(model: Any, tokenizer: Any, texts: Sequence[str]) -> float:
    """Return the mean loss over every token of `texts` but each one's first, in nats per token.

    The texts are given as they are, without a chat template. NaN where there is no such token.
    The model is left in the mode that it is in; call this inside `evaluating(model)`.
    """
    total, tokens = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
        # Of an adapter in front of the text the model makes logits, too.
        logits = model(input_ids=ids, use_cache=False).logits[0, -ids.shape[1] : -1].float()
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        tokens += ids.shape[1] - 1
    return total / tokens if tokens else math.nan
