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


# The last number: a method's best rate as a share of LoRA's, the geometric mean over both tasks of
# the recorded bench (`training/recorded/bench-methods.json`), to one digit.
METHODS: dict[str, Method] = {
    "full": Method("full fine-tuning", None, rate_share=FULL_RATE),
    "lora": _adapted(LORA, PAIR),
    "qlora": Method("QLoRA", LORA, quantizes=True, family=PAIR),
    "rslora": _adapted(RSLORA, PAIR, 0.6),
    "lora_plus": _adapted(LORA_PLUS, PAIR, 0.2),
    "dora": _adapted(DORA, PAIR),
    "lora_fa": _adapted(LORA_FA, PAIR),
    "pissa": _adapted(PISSA, START, 0.2),
    "olora": _adapted(OLORA, START, 0.1),
    "eva": _adapted(EVA, START, 0.2),
    "adalora": _adapted(ADALORA, UPDATE, 6.0),
    "vera": _adapted(VERA, UPDATE, 30.0),
    "miss": _adapted(MISS, UPDATE, 0.2),
    "oft": _adapted(OFT, UPDATE, 0.2),
    "ia3": _adapted(IA3, FACTORS, 6.0),
    "ln_tuning": _adapted(LN_TUNING, FACTORS, 2.0),
    "prompt_tuning": _adapted(PROMPT_TUNING, PROMPTS, 10.0),
    "prefix_tuning": _adapted(PREFIX_TUNING, PROMPTS, 60.0),
}

USUAL = ("full", "lora", "qlora")
"""The three that the course is about: what a comparison or a decision considers by default."""
