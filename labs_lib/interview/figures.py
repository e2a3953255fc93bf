"""The figures that a question asks for, computed from its numbers when it is drawn.

Each function takes a question's numbers (model, rank, card …) and returns a text for people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.lowrank import adapter_bytes, count_lora_parameters, scaling_of
from labs_lib.memory import card, decide, forecast, format_bytes
from labs_lib.models import entry
from labs_lib.quantization import bits_per_parameter

_STEP = (
    "model", "method", "rank", "targets", "batch", "seq_len", "checkpointing", "precision",
    "optimizer",
)  # fmt: skip
_ATTENTION = ("q_proj", "v_proj")


def peak(**numbers: Any) -> str:
    """Return the peak of one training step, in GiB."""
    return format_bytes(forecast(**_step_of(numbers)).peak_bytes)


def parts(**numbers: Any) -> str:
    """Return the parts of the step in GiB: weights, adapter, gradients, states, activations."""
    step = forecast(**_step_of(numbers))
    kinds = ("weights", "adapter", "gradients", "optimizer", "activations")
    return ", ".join(f"{kind} {format_bytes(getattr(step, f'{kind}_bytes'))}" for kind in kinds)


def weights(**numbers: Any) -> str:
    """Return the base model in 16 bits, in GB of 10⁹ bytes."""
    return format_bytes(2 * entry(numbers["model"]).parameters, "GB")


def trained(**numbers: Any) -> str:
    """Return the parameters that LoRA trains, and their share of the model's."""
    count = _trained(numbers)
    return f"{count:,} ({count / entry(numbers['model']).parameters:.3%} of the base)"


def full_update(**numbers: Any) -> str:
    """Return how many numbers one square matrix of the model's width has, and its two factors."""
    width, rank = entry(numbers["model"]).hidden_size, numbers["rank"]
    return f"{width * width:,} against {2 * width * rank:,}"


def scaling(**numbers: Any) -> str:
    """Return alpha / r, or alpha / √r with `rslora`."""
    value = scaling_of(numbers["rank"], numbers["alpha"], numbers.get("rslora", False))
    return f"{value:.4g}"


def adapter(**numbers: Any) -> str:
    """Return the size of one adapter's file at 32 bits, in MiB."""
    return format_bytes(adapter_bytes(_trained(numbers)), "MiB")


def adapters(**numbers: Any) -> str:
    """Return the base in 16 bits with `count` adapters beside it, in GB of 10⁹ bytes."""
    each = adapter_bytes(_trained(numbers), 16)
    return format_bytes(2 * entry(numbers["model"]).parameters + numbers["count"] * each, "GB")


def merged_models(**numbers: Any) -> str:
    """Return `count` merged models in 16 bits, in GB of 10⁹ bytes."""
    return format_bytes(numbers["count"] * 2 * entry(numbers["model"]).parameters, "GB")


def four_bit(**numbers: Any) -> str:
    """Return what NF4 with double quantization takes for a weight, in bits."""
    del numbers
    return f"{bits_per_parameter(double_quant=True):.3f}"


def decision(**numbers: Any) -> str:
    """Return the course's choice of a method for the model and the card, in one line."""
    fields = {name: numbers[name] for name in ("rank", "targets", "seq_len") if name in numbers}
    return decide(numbers["model"], numbers["card"], **fields).answer


def usable(**numbers: Any) -> str:
    """Return what a process finds free on the card, in GiB."""
    return format_bytes(card(numbers["card"]).usable_bytes)


def one_row(**numbers: Any) -> str:
    """Return what one held-out row adds to a score, in points of a percentage."""
    return f"{100 / numbers['rows']:.1f} points"


FIGURES: dict[str, Callable[..., str]] = {
    each.__name__: each
    for each in (
        peak, parts, weights, trained, full_update, scaling, adapter, adapters, merged_models,
        four_bit, decision, usable, one_row,
    )
}  # fmt: skip


def _trained(numbers: dict[str, Any]) -> int:
    targets = numbers.get("targets", _ATTENTION)
    return count_lora_parameters(numbers["model"], targets, numbers["rank"])


def _step_of(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: numbers[name] for name in _STEP if name in numbers}
