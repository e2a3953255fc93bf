"""The adapters of the course, each with PEFT's configuration of it and what it costs.

A new one is one `Adapter` in a family's file, here in `ADAPTERS`, and its name in
`labs_lib.step.methods`. One without `saved` has no formula: its forecast is fitted or traced.
"""

from __future__ import annotations

from labs_lib.step.adapters.entry import AdaptedInput as AdaptedInput
from labs_lib.step.adapters.entry import Adapter as Adapter
from labs_lib.step.adapters.entry import AdapterSettings as AdapterSettings
from labs_lib.step.adapters.entry import Brought as Brought
from labs_lib.step.adapters.entry import Linear as Linear
from labs_lib.step.adapters.entry import LinearSize as LinearSize
from labs_lib.step.adapters.factors import IA3, LN_TUNING
from labs_lib.step.adapters.lora import DORA, LORA, LORA_FA, LORA_PLUS, RSLORA
from labs_lib.step.adapters.low_rank import ADALORA, MISS, VERA
from labs_lib.step.adapters.prompts import PREFIX_TUNING, PROMPT_TUNING
from labs_lib.step.adapters.rotations import OFT
from labs_lib.step.adapters.starts import EVA, OLORA, PISSA

ADAPTERS = [
    *(LORA, RSLORA, LORA_PLUS, DORA, LORA_FA),
    *(PISSA, OLORA, EVA),
    *(ADALORA, VERA, MISS, OFT),
    *(IA3, LN_TUNING),
    *(PROMPT_TUNING, PREFIX_TUNING),
]


def is_adapter_tensor(name: str) -> bool:
    """Return whether a parameter's name is that of an adapter's tensor."""
    return any(adapter.prefix in name for adapter in ADAPTERS)
