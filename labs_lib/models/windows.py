"""What a model's tables hold: how many tokens it knows, and how many it reads at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from labs_lib.errors import LabError

# The names under which families keep the longest sequence; a nested text configuration is asked.
_WINDOW_FIELDS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)


def window_of(model: Any) -> float:
    """Return the longest sequence, in tokens, that `model` was built for; infinite where unsaid.

    Trained embeddings in front of a prompt take their part of it.
    """
    config = model.config
    text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    found = (getattr(text, name, None) for name in _WINDOW_FIELDS)
    window = next((value for value in found if isinstance(value, int) and value > 0), math.inf)
    adapter = getattr(model, "active_peft_config", None)
    taken = getattr(adapter, "num_virtual_tokens", None)
    return window - taken if getattr(adapter, "is_prompt_learning", False) and taken else window


def vocabulary_of(model: Any) -> int:
    """Return the number of rows of the model's embedding table."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_tokens(model: Any, rows: Sequence[Sequence[int]]) -> None:
    """Raise `LabError` unless each row of token numbers is one that `model` can read."""
    window, vocabulary = window_of(model), vocabulary_of(model)
    for row in rows:
        if not row:
            raise LabError("prompt: '' holds no token; give some text")
        if len(row) >= window:
            raise LabError(
                f"prompt: {len(row):,} tokens leave no room for an answer in the model's window of "
                f"{window:,} tokens; shorten it"
            )
        if max(row) >= vocabulary:
            raise LabError(
                f"prompt: token {max(row)} is beyond the model's {vocabulary:,}; its tokenizer has "
                f"more tokens than its embedding table: take the tokenizer that belongs to it"
            )


def room_for(model: Any, tokens: int) -> int:
    """Return how many tokens the model's window holds after `tokens`; very many where unsaid."""
    room = window_of(model) - tokens
    return int(room) if math.isfinite(room) else 2**31
