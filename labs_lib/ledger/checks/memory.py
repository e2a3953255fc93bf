"""Checks of what is said about memory, by the closed-form forecast."""

from __future__ import annotations

from labs_lib.ledger.finding import Finding
from labs_lib.memory import forecast

SEVEN = "llama-2-7b"


def only_the_adapter_is_resident() -> Finding:
    """Compare the weights of the frozen base with the adapter's in a LoRA step of a 7B model."""
    step = forecast(SEVEN, method="lora")
    base = step.weights_bytes
    return Finding(
        f"Llama-2-7B, LoRA r=8 on q and v, 1 × 512 tokens: the base takes {base / 1e9:.2f} GB, "
        f"the adapter {step.adapter_bytes / 1e9:.3f} GB",
        {"the adapter is all that is in memory": base == 0},
    )
