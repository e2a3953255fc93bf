"""NF4 and double quantisation from scratch, held against bitsandbytes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labs_lib.quantization.settings import (
    QUANT_TYPES,
    check_block_size,
    check_quant_type,
    check_settings,
)

if TYPE_CHECKING:
    from labs_lib.quantization.analysis import (
        QuantizationError,
        code_usage,
        layer_errors,
        outlier_effect,
        quantization_error,
        summarize_errors,
        with_outlier,
    )
    from labs_lib.quantization.blockwise import (
        Quantized,
        block_absmax,
        dequantize,
        pack_codes,
        quantize,
        unpack_codes,
    )
    from labs_lib.quantization.codebooks import (
        codebook,
        decision_boundaries,
        dynamic_codebook,
        fp4_codebook,
        int4_codebook,
        nf4_codebook,
        symmetric_normal_codebook,
    )
    from labs_lib.quantization.double import (
        DoubleQuantized,
        double_dequantize,
        double_quantize,
    )
    from labs_lib.quantization.linear import (
        Linear4bit,
        replace_linear_layers,
    )
    from labs_lib.quantization.nearest import CodeTable, code_table, nearest_codes
    from labs_lib.quantization.paging import (
        PagedStep,
        PagingReport,
        PagingStep,
        paged_optimizer_on_cuda,
        simulate_paging,
        training_phases,
    )
    from labs_lib.quantization.qlora import (
        compute_dtype_of,
        qlora_config,
        quiet_bitsandbytes,
    )
    from labs_lib.quantization.repacking import (
        forbid_repacking,
        forbid_repacking_if_loaded,
        refuse_repacked,
        repacked_layers,
    )
    from labs_lib.quantization.restoring import restored_weights
    from labs_lib.quantization.storage import (
        StoredBytes,
        bits_per_parameter,
        model_stored_bytes,
        stored_bytes,
    )

__all__ = [
    "QUANT_TYPES",
    "CodeTable",
    "DoubleQuantized",
    "Linear4bit",
    "PagedStep",
    "PagingReport",
    "PagingStep",
    "QuantizationError",
    "Quantized",
    "StoredBytes",
    "bits_per_parameter",
    "block_absmax",
    "check_block_size",
    "check_quant_type",
    "check_settings",
    "code_table",
    "code_usage",
    "codebook",
    "compute_dtype_of",
    "decision_boundaries",
    "dequantize",
    "double_dequantize",
    "double_quantize",
    "dynamic_codebook",
    "forbid_repacking",
    "forbid_repacking_if_loaded",
    "fp4_codebook",
    "int4_codebook",
    "layer_errors",
    "model_stored_bytes",
    "nearest_codes",
    "nf4_codebook",
    "outlier_effect",
    "pack_codes",
    "paged_optimizer_on_cuda",
    "qlora_config",
    "quantization_error",
    "quantize",
    "quiet_bitsandbytes",
    "refuse_repacked",
    "repacked_layers",
    "replace_linear_layers",
    "restored_weights",
    "simulate_paging",
    "stored_bytes",
    "summarize_errors",
    "symmetric_normal_codebook",
    "training_phases",
    "unpack_codes",
    "with_outlier",
]


# The files that need torch, each read when one of its names is first used.
_LAZY = (
    "codebooks",
    "nearest",
    "double",
    "blockwise",
    "storage",
    "qlora",
    "paging",
    "linear",
    "repacking",
    "restoring",
    "analysis",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _LAZY:
            module = importlib.import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
