"""The methods by their names: each says how the base is held, and which adapter is trained on it.

A new method is one entry in `METHODS`; recipes, forecasts and comparisons read it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from labs_lib.step.adapters import DORA, IA3, LORA, Adapter

FULL_RATE = 0.1
"""Full fine-tuning's learning rate as a share of LoRA's: about a tenth was best for each
("LoRA Without Regret", Thinking Machines, 2025); at LoRA's own rate it diverges."""

IA3_RATE = 20.0
"""IA³'s: its few factors start at 1 and have far to go. On sea-captain, where LoRA takes 1e-3, 2e-2
brought the held-out loss from 3.9 to 0.2 in 12 steps, and 1e-1 to 2.6 (seed 0, fp32)."""


@dataclass(frozen=True)
class Method:
    """How a model is fine-tuned.

    `adapter` is None where every weight is trained. `quantizes`: the base is held in the type
    that `quantization` names. `rate_share` is the learning rate as a share of LoRA's, in a
    comparison of methods.
    """

    title: str
    adapter: Adapter | None
    quantizes: bool = False
    rate_share: float = 1.0

    @property
    def trains_all(self) -> bool:
        """Return whether every weight of the base is trained."""
        return self.adapter is None


METHODS: dict[str, Method] = {
    "full": Method("full fine-tuning", None, rate_share=FULL_RATE),
    "lora": Method("LoRA", LORA),
    "qlora": Method("QLoRA", LORA, quantizes=True),
    "dora": Method("DoRA", DORA),
    "ia3": Method("IA³", IA3, rate_share=IA3_RATE),
}

USUAL = ("full", "lora", "qlora")
"""The three that the course is about: what a comparison or a decision considers by default."""
