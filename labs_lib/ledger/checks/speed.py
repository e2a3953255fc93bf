"""Checks of what is said about speed, by counting multiplications.

A forward pass of N weights takes N multiplications a token. The backward pass takes as many for the
gradients of the inputs, and as many again for those of the weights that are trained.
"""

from __future__ import annotations

from labs_lib.ledger.finding import Finding
from labs_lib.lowrank import count_lora_parameters
from labs_lib.memory import forecast
from labs_lib.models import entry

SEVEN = "llama-2-7b"
SETTINGS = {"r=8 on q and v": ("q,v", 8), "r=64 on all linear layers": ("all-linear", 64)}


def _work(trained: int, checkpointing: bool = False) -> float:
    """Return the multiplications of a LoRA step over those of full fine-tuning."""
    base = entry(SEVEN).parameters
    full = 3 * base + checkpointing * base
    return ((2 + checkpointing) * base + (3 + checkpointing) * trained) / full


def _costs() -> dict[str, float]:
    """Return LoRA's costs over those of full fine-tuning in bf16, kind by kind."""
    trained = count_lora_parameters(SEVEN, "q,v", 8)
    full, lora = (
        forecast(SEVEN, method=method, optimizer="adamw_fused") for method in ("full", "lora")
    )
    return {
        "multiplications": _work(trained),
        "peak memory": lora.peak_bytes / full.peak_bytes,
        "optimizer states": lora.optimizer_bytes / full.optimizer_bytes,
        "bytes saved for a task": 4 * trained / (2 * entry(SEVEN).parameters),
    }


def _cost_at_most(share: float) -> Finding:
    costs = _costs()
    return Finding(
        "Llama-2-7B, r=8 on q and v, 1 × 512 tokens, of full fine-tuning in bf16: "
        + ", ".join(f"{name} {cost:.1%}" for name, cost in costs.items()),
        {name: cost <= share for name, cost in costs.items()},
    )


def one_percent_of_the_cost() -> Finding:
    """Ask which of LoRA's costs are 1 % of full fine-tuning's."""
    return _cost_at_most(0.01)


def less_than_half_of_the_cost() -> Finding:
    """Ask which of LoRA's costs are less than half of full fine-tuning's."""
    return _cost_at_most(0.5)


def lora_multiplies_less() -> Finding:
    """Compare the multiplications of a LoRA step with those of full fine-tuning."""
    shares = {
        f"{words}{', checkpointing' if on else ''}": _work(count_lora_parameters(SEVEN, *how), on)
        for words, how in SETTINGS.items()
        for on in (False, True)
    }
    return Finding(
        "Llama-2-7B, multiplications of LoRA over full fine-tuning: "
        + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()),
        {name: share < 1 for name, share in shares.items()},
    )


def lower_rank_multiplies_less() -> Finding:
    """Compare the multiplications of a step at rank 8 with those at rank 128."""
    cases: dict[str, bool] = {}
    figures: list[str] = []
    for targets in ("q,v", "all-linear"):
        low, high = (_work(count_lora_parameters(SEVEN, targets, rank)) for rank in (8, 128))
        figures.append(f"{targets} {1 - low / high:.1%} fewer")
        cases[f"over 3 % fewer on {targets}"] = 1 - low / high > 0.03
    return Finding(f"Llama-2-7B, r=8 instead of r=128: {', '.join(figures)}", cases)
