"""4-bit weights keep the format that trains: bitsandbytes may not repack them for answering.

On a CPU with AVX512-BF16, bitsandbytes' `Linear4bit` rewrites its weight at the first call
without gradients in evaluation mode.  The new format is made for answering alone: its scales are
rounded to bf16, double quantization is dissolved, and its product has no gradient.  Whoever
evaluates and then trains would train hardly anything, and no error would say so
(bitsandbytes 0.50, `Linear4bit.forward`, `matmul_4bit`).
"""

from __future__ import annotations

import sys
from typing import Any

from labs_lib.errors import LabError

_FLAG = "support_avx512bf16_for_cpu"


def forbid_repacking() -> None:
    """Keep every `Linear4bit` of this process, made already or later, in the format that trains.

    The flag that a layer asks before it repacks reads False from now on, whatever the CPU can do
    and whatever a layer is told.  Called wherever the course loads a model or its libraries;
    calling it again changes nothing.
    """
    from bitsandbytes.nn.modules import Linear4bit

    # A property of the class wins over the value that each layer keeps for itself.
    setattr(Linear4bit, _FLAG, property(_never, _remember))


def forbid_repacking_if_loaded() -> None:
    """Do as `forbid_repacking` where bitsandbytes is loaded; where it is not, load nothing."""
    if "bitsandbytes" in sys.modules:
        forbid_repacking()


def repacked_layers(model: Any) -> list[str]:
    """Return the names of the layers whose 4-bit weight is in the format without gradients."""
    return [
        name
        for name, parameter in model.named_parameters()
        if getattr(getattr(parameter, "quant_state", None), "packing_format_for_cpu", False)
    ]


def refuse_repacked(model: Any) -> None:
    """Raise `LabError` for a model with repacked layers: they would get no gradient."""
    if names := repacked_layers(model):
        raise LabError(
            f"model: bitsandbytes repacked {len(names)} of its 4-bit weights for answering "
            f"(first: {names[0]}), so they can pass no gradient on; load the model again"
        )


def _never(_layer: Any) -> bool:
    return False


def _remember(layer: Any, value: bool) -> None:
    vars(layer)[_FLAG] = value
