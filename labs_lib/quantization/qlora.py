"""QLoRA's set-up with the real libraries: the configuration, and quiet where noise is harmless."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labs_lib.errors import LabError, choice_error
from labs_lib.harmless import OLD_NAMES
from labs_lib.quantization.repacking import forbid_repacking
from labs_lib.quantization.settings import check_block_size, check_quant_type, check_settings
from labs_lib.quiet import quiet
from labs_lib.step.bases import BLOCK, QUANTIZED, TRAINABLE

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig

BITSANDBYTES_BLOCK = BLOCK
_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def qlora_config(
    quant_type: str | None = "nf4",
    double_quant: bool = True,
    compute_dtype: str | torch.dtype | None = None,
    block_size: int = BITSANDBYTES_BLOCK,
) -> BitsAndBytesConfig:
    """Return the `BitsAndBytesConfig` of QLoRA: NF4, double quantization, the right precision.

    `BitsAndBytesConfig(load_in_4bit=True)` alone is not QLoRA: its defaults are fp4, no double
    quantization and fp32 compute.  `compute_dtype` is "bf16", "fp16", "fp32" or a torch dtype;
    None takes the one this machine trains fastest in.  `block_size` is fixed at 64 in
    bitsandbytes' layers: another size can be studied with `quantize`, not trained with here.
    LabError for any other value.  From this call on bitsandbytes repacks no 4-bit weight
    (`forbid_repacking`), so that a model may answer first and train afterwards.
    """
    if quant_type in (None, "none"):
        check_settings(quant_type, double_quant, block_size)
    legal_type = check_quant_type(quant_type, TRAINABLE)
    if check_block_size(block_size) != BITSANDBYTES_BLOCK:
        raise LabError(
            f"block_size: {block_size} cannot be trained with; bitsandbytes' 4-bit layers always "
            f"use {BITSANDBYTES_BLOCK} (other sizes: labs_lib.quantization.quantize)"
        )
    dtype = compute_dtype_of(compute_dtype)
    with quiet_bitsandbytes():
        forbid_repacking()
        return QUANTIZED[legal_type].config(double_quant, dtype)


def compute_dtype_of(name: str | torch.dtype | None = None) -> torch.dtype:
    """Return the torch dtype of "bf16", "fp16" or "fp32"; None means this machine's fastest."""
    import torch

    from labs_lib.hardware import detect

    if isinstance(name, torch.dtype):
        name = str(name).removeprefix("torch.")
    name = detect().precision if name is None else name
    for short, full in _DTYPES.items():
        if name in (short, full):
            return getattr(torch, full)
    raise choice_error("compute_dtype", name, _DTYPES)


# What would make a student look for a fault where there is none: a paged optimizer on a CPU warns
# that it works unpaged, since there is no second memory to page to.  The course says so itself
# where it uses one.
_UNPAGED = "Paged optimizers are not supported on CPU"


@contextmanager
def quiet_bitsandbytes() -> Iterator[None]:
    """Keep the known, harmless warnings of a QLoRA run off inside the block, and no others.

    Load a 4-bit model, prepare and train it inside.  What bitsandbytes logs as it is imported, and
    PEFT's old names, `labs_lib.harmless` keeps off for good.
    """
    with quiet(_UNPAGED, *OLD_NAMES):
        yield
