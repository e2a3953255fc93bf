"""The mathematics of LoRA: factorise, count, a layer from scratch, merge."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labs_lib.lowrank.knobs import check_alpha, check_dropout, check_rank, scaling_of

if TYPE_CHECKING:
    from labs_lib.lowrank.counting import (
        adapter_bytes,
        count_bias_parameters,
        count_lora_parameters,
        meta_model,
        target_shapes,
    )
    from labs_lib.lowrank.decomposition import (
        Factorisation,
        approximation_error,
        best_approximation,
        effective_rank,
        energy_by_rank,
        factorise,
        rank_for_energy,
        spectrum_of,
        stable_rank,
    )
    from labs_lib.lowrank.injection import (
        adapters,
        eject,
        find_targets,
        inject,
        linear_layers,
        merge_adapters,
        unmerge_adapters,
    )
    from labs_lib.lowrank.layer import LoRALinear

__all__ = [
    "Factorisation",
    "LoRALinear",
    "adapter_bytes",
    "adapters",
    "approximation_error",
    "best_approximation",
    "check_alpha",
    "check_dropout",
    "check_rank",
    "count_bias_parameters",
    "count_lora_parameters",
    "effective_rank",
    "eject",
    "energy_by_rank",
    "factorise",
    "find_targets",
    "inject",
    "linear_layers",
    "merge_adapters",
    "meta_model",
    "rank_for_energy",
    "scaling_of",
    "spectrum_of",
    "stable_rank",
    "target_shapes",
    "unmerge_adapters",
]


def __getattr__(name: str) -> Any:
    # In this order, so that torch loads with the layer and not with the arithmetic.
    for home in ("decomposition", "counting", "layer", "injection"):
        if name in __all__:
            module = importlib.import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
