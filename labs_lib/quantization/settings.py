"""What may be asked of a quantizer, and the one-line errors for the rest; loads no torch."""

from __future__ import annotations

from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.step.bases import TRAINABLE

QUANT_TYPES = (*TRAINABLE, "int4")
"""Every 4-bit type of this room; bitsandbytes trains with the first two."""


def check_quant_type(quant_type: object, legal: tuple[str, ...] = QUANT_TYPES) -> str:
    """Return `quant_type` if it is one of the `legal` ones; else raise a LabError."""
    if not isinstance(quant_type, str) or quant_type not in legal:
        raise choice_error("quant_type", quant_type, legal)
    return quant_type


def check_block_size(block_size: object) -> int:
    """Return `block_size` if it is a power of two, 2 or more; else raise a LabError."""
    legal = isinstance(block_size, int) and not isinstance(block_size, bool) and block_size >= 2
    if not legal or block_size & (block_size - 1):  # type: ignore[operator]
        raise LabError(
            f"block_size: {shorten(block_size)} is not a power of two from 2 up; "
            "QLoRA uses 64, others in use are 32, 128, 256 … 4096"
        )
    return block_size  # type: ignore[return-value]


def check_settings(quant_type: str | None, double_quant: bool, block_size: int = 64) -> None:
    """Raise a LabError unless the three settings of a quantized base model fit together.

    `quant_type` None or "none" means a base that is not quantized: then there are no
    scales that a second quantization could shrink, and `double_quant` is refused.
    """
    if quant_type is None or quant_type == "none":
        if double_quant:
            raise LabError(
                "double_quant: True needs a 4-bit base, and quant_type is none; it quantizes the "
                f"scales of a quantized weight; set quant_type to {' or '.join(TRAINABLE)}, "
                "or double_quant to False"
            )
        return
    check_quant_type(quant_type)
    check_block_size(block_size)
