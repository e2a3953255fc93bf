"""Checks of what public courses and documentation say today."""

from __future__ import annotations

from labs_lib.ledger.finding import Finding
from labs_lib.ledger.tiny import IDS, tiny_llama, with_lora
from labs_lib.memory import forecast


def gradients_pass_the_adapter_alone() -> Finding:
    """Train nothing but the lowest layer's adapter, and see whether a gradient reaches it."""
    import torch

    wrapped = with_lora(tiny_llama(layers=2), layers_to_transform=[0])
    ids = torch.tensor(IDS)
    wrapped(input_ids=ids, labels=ids).loss.backward()
    reached = [
        float(parameter.grad.norm())
        for name, parameter in wrapped.named_parameters()
        if "lora_B" in name and parameter.grad is not None
    ]
    through = any(size > 0 for size in reached)
    return Finding(
        "two layers, an adapter in the lower one alone: its gradient, which came through the "
        f"upper layer's frozen weights, is {'not ' if through else ''}zero",
        {"a frozen layer above an adapter": not through},
    )


def qlora_in_4_gb() -> Finding:
    """Forecast QLoRA with checkpointing for four sizes: do 4 GB hold it."""
    peaks = {
        model: forecast(
            model, method="qlora", checkpointing=True, optimizer="adamw_fused"
        ).peak_bytes
        for model in ("smollm2-135m-instruct", "smollm2-1.7b-instruct", "llama-2-7b", "llama-3-8b")
    }
    return Finding(
        "QLoRA, r=8 on q and v, 1 × 512 tokens, checkpointing: "
        + ", ".join(f"{model} {peak / 1e9:.1f} GB" for model, peak in peaks.items()),
        {model: peak <= 0.94 * 4 * 2**30 for model, peak in peaks.items()},
    )
