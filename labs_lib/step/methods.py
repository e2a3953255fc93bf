"""The methods by their names: each says how the base is held, and which adapter is trained on it.

A new method is one entry in `METHODS`; recipes, forecasts and comparisons read it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from labs_lib.step.adapters import (
    ADALORA,
    DORA,
    EVA,
    IA3,
    LN_TUNING,
    LORA,
    LORA_FA,
    LORA_PLUS,
    MISS,
    OFT,
    OLORA,
    PISSA,
    PREFIX_TUNING,
    PROMPT_TUNING,
    RSLORA,
    VERA,
    Adapter,
)

FULL_RATE = 0.1
"""Full fine-tuning's learning rate as a share of LoRA's: about a tenth was best for each
("LoRA Without Regret", Thinking Machines, 2025); at LoRA's own rate it diverges."""

IA3_RATE = 20.0
"""IA³'s: its few factors start at 1 and have far to go. On sea-captain, where LoRA takes 1e-3, 2e-2
brought the held-out loss from 3.9 to 0.2 in 12 steps, and 1e-1 to 2.6 (seed 0, fp32)."""


VERA_RATE, PROMPT_RATE, PREFIX_RATE = 10.0, 10.0, 50.0
"""As PEFT's own comparison takes them beside LoRA's 1e-4 (`training/bench/published.yaml`)."""


@dataclass(frozen=True)
class Method:
    """How a model is fine-tuned.

    `adapter` is None where every weight is trained. `quantizes`: the base is held in the type
    that `quantization` names. `rate_share` is the learning rate as a share of LoRA's, in a
    comparison of methods. `family` names what it has in common with others.
    """

    title: str
    adapter: Adapter | None
    quantizes: bool = False
    rate_share: float = 1.0
    family: str = ""

    @property
    def trains_all(self) -> bool:
        """Return whether every weight of the base is trained."""
        return self.adapter is None


PAIR, START, UPDATE = "LoRA's pair", "another start", "another update"
FACTORS, PROMPTS = "factors", "vectors in front"


def _adapted(adapter: Adapter, family: str, rate_share: float = 1.0) -> Method:
    return Method(adapter.title, adapter, rate_share=rate_share, family=family)


METHODS: dict[str, Method] = {
    "full": Method("full fine-tuning", None, rate_share=FULL_RATE),
    "lora": _adapted(LORA, PAIR),
    "qlora": Method("QLoRA", LORA, quantizes=True, family=PAIR),
    "rslora": _adapted(RSLORA, PAIR),
    "lora_plus": _adapted(LORA_PLUS, PAIR),
    "dora": _adapted(DORA, PAIR),
    "lora_fa": _adapted(LORA_FA, PAIR),
    "pissa": _adapted(PISSA, START),
    "olora": _adapted(OLORA, START),
    "eva": _adapted(EVA, START),
    "adalora": _adapted(ADALORA, UPDATE),
    "vera": _adapted(VERA, UPDATE, VERA_RATE),
    "miss": _adapted(MISS, UPDATE),
    "oft": _adapted(OFT, UPDATE),
    "ia3": _adapted(IA3, FACTORS, IA3_RATE),
    "ln_tuning": _adapted(LN_TUNING, FACTORS),
    "prompt_tuning": _adapted(PROMPT_TUNING, PROMPTS, PROMPT_RATE),
    "prefix_tuning": _adapted(PREFIX_TUNING, PROMPTS, PREFIX_RATE),
}

USUAL = ("full", "lora", "qlora")
"""The three that the course is about: what a comparison or a decision considers by default."""
