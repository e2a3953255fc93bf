"""What to turn when a step takes too much memory, the cheapest in quality and time first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.step.plan import Step

Fields = dict[str, Any]
"""Changed fields of a `Step`, by its names; empty where there is nothing to turn."""


@dataclass(frozen=True)
class Saving:
    """One setting to turn: `turn` gives the fields, `words` says it of the step that was turned."""

    words: Callable[[Step], str]
    costs: str
    turn: Callable[[Step], Fields]


def fewer_at_once(step: Step, batch: int) -> Fields:
    """Take `batch` sequences at once and add up gradients: the same training, more slowly."""
    if step.batch <= batch:
        return {}
    return {"batch": batch, "accumulation": step.accumulation * -(-step.batch // batch)}


def shorter(step: Step, divisor: int, spared_tokens: int) -> Fields:
    """Divide the length of sequences that are longer than `spared_tokens`."""
    return {"seq_len": step.seq_len // divisor} if step.seq_len > spared_tokens else {}


def _fused(step: Step) -> Fields:
    name = OPTIMIZERS[step.optimizer].fused
    return {"optimizer": name} if name else {}


def _rounded_states(step: Step) -> Fields:
    name = OPTIMIZERS[step.optimizer].eight_bit
    return {"optimizer": name} if name else {}


def _recompute(step: Step) -> Fields:
    return {} if step.checkpointing else {"checkpointing": True}


def _adapt(step: Step) -> Fields:
    return {"method": "lora"} if step.trains_all else {}


def _quantize(step: Step) -> Fields:
    if step.quantizes and step.double_quant and step.base.bits == 4:
        return {}
    return {"method": "qlora", "quantization": "nf4", "double_quant": True}


def _lower_rank(step: Step) -> Fields:
    return {"rank": 8} if step.adapter and step.rank > 8 else {}


CHECKPOINTING = Saving(
    lambda _: "gradient checkpointing",
    "about a third more computing: every layer runs forward twice",
    _recompute,
)
ADAPTER = Saving(lambda _: "LoRA in place of full fine-tuning", "the update has low rank", _adapt)
QUANTIZED_BASE = Saving(
    lambda _: "QLoRA: the base in NF4, double-quantized",
    "slower steps; a rounded base",
    _quantize,
)

SAVINGS = (
    Saving(lambda _: "fused AdamW", "nothing: one kernel in place of many", _fused),
    Saving(
        lambda step: f"batch 1 with {step.accumulation} accumulation steps",
        "some speed; the same gradient",
        lambda step: fewer_at_once(step, 1),
    ),
    CHECKPOINTING,
    ADAPTER,
    QUANTIZED_BASE,
    Saving(lambda _: "8-bit AdamW", "rounded optimizer states", _rounded_states),
    Saving(
        lambda step: f"sequences of {step.seq_len}",
        "long examples are cut",
        lambda step: shorter(step, divisor=4, spared_tokens=511),
    ),
    Saving(lambda _: "rank 8", "a smaller adapter", _lower_rank),
)
