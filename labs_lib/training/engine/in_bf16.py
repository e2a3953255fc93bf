"""All that a model computes otherwise, and sooner, where a CPU trains it in bf16."""

from __future__ import annotations

from typing import Any

from labs_lib.training.engine.adapted_maps import multiply_apart, multiply_at_once
from labs_lib.training.engine.layout import write_attention_out
from labs_lib.training.engine.norms import normalize_at_once, normalize_in_steps


def compute_at_once(model: Any) -> None:
    """Have norms, adapted maps and attention each computed by one function, under bf16 autocast."""
    multiply_at_once(model)
    normalize_at_once(model)
    write_attention_out(model)


def compute_in_steps(model: Any) -> None:
    """Take back what `compute_at_once` changed."""
    multiply_apart(model)
    normalize_in_steps(model)
    write_attention_out(model, out=False)
