"""LoRA that begins elsewhere than at B = 0: from the weights (PiSSA, OLoRA) or from data (EVA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labs_lib.step.adapters.entry import AdapterSettings, Training
from labs_lib.step.adapters.lora import LORA, lora_config

if TYPE_CHECKING:
    from peft import PeftConfig

PISSA_START = "pissa_niter_4"
"""PiSSA by a randomized SVD of four iterations: seconds, where the exact one takes minutes."""


def _pissa_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    return lora_config(settings, targets, common, init_lora_weights=PISSA_START)


def _olora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    return lora_config(settings, targets, common, init_lora_weights="olora")


def _eva_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import EvaConfig

    # With rho = 1 every map keeps its rank, so that the adapter has LoRA's size.
    eva = EvaConfig(rho=1.0, tau=0.9, use_label_mask=False)
    return lora_config(settings, targets, common, init_lora_weights="eva", eva_config=eva)


def _begin_from(model: Any, batches: Sequence[dict[str, Any]]) -> None:
    import peft

    starting: Any = peft  # PEFT leaves this function's types partly out
    starting.initialize_lora_eva_weights(model, batches, show_progress_bar=False)


PISSA = replace(
    LORA,
    title="PiSSA",
    config=_pissa_config,
    needs_weights="it begins with a singular value decomposition of the weights, and PEFT takes it "
    "of weights in 16 or 32 bits alone",
    moves_base=True,
)
OLORA = replace(
    LORA,
    title="OLoRA",
    config=_olora_config,
    needs_weights="it takes a part out of the weights and would quantize the rest again, to which "
    "the base as it is stored no longer adds up",
    moves_base=True,
)
EVA = replace(LORA, title="EVA", config=_eva_config, training=Training(begin=_begin_from))
