"""How the weights of the base model are held, each with how it is built and what it costs.

A new quantization type is one entry in `QUANTIZED`; its code book stands in
`labs_lib.quantization.codebooks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig

BLOCK = 64
"""Weights that share one absmax in bitsandbytes' 4-bit layers."""
DOUBLE_BLOCK = 256
"""Absmax values that share one fp32 absmax of their own under double quantization."""


@dataclass(frozen=True)
class PlainBase:
    """Weights as numbers of `itemsize` bytes: bf16, fp16 or fp32."""

    itemsize: int
    keeps_inputs: bool = False

    @property
    def bits(self) -> int:
        """Return the bits of one weight."""
        return 8 * self.itemsize

    def weight_bytes(self, d_out: int, d_in: int, _double_quant: bool) -> int:
        """Return the bytes of one (d_out, d_in) matrix."""
        return d_out * d_in * self.itemsize

    def restored_bytes(self, _elements: int, _itemsize: int, _double_quant: bool) -> int:
        """Return 0: nothing has to be restored before a product."""
        return 0


@dataclass(frozen=True)
class QuantizedBase:
    """Weights that bitsandbytes quantizes: 4-bit codes in blocks of 64, or LLM.int8's rows.

    `bits` of a code are 4 or 8. `trains` says whether a recipe may name it; the others can be
    forecast. `keeps_inputs`: the product keeps its 16-bit input for the backward pass.
    """

    name: str
    bits: int = 4
    trains: bool = True
    keeps_inputs: bool = False

    def weight_bytes(self, d_out: int, d_in: int, double_quant: bool) -> int:
        """Return the bytes of one (d_out, d_in) matrix with its statistics.

        In 4 bits: the codes, an absmax for each block and the code book of 16 fp32 values; with
        double quantization 8-bit absmax, an fp32 one for 256 of them, their code book and their
        mean (arXiv 2305.14314 §3).
        """
        elements = d_out * d_in
        if self.bits == 8:
            return elements + 4 * d_out
        blocks = -(-elements // BLOCK)
        packed = (elements + 1) // 2 + 16 * 4
        if double_quant:
            return packed + blocks + 4 * -(-blocks // DOUBLE_BLOCK) + 256 * 4 + 4
        return packed + 4 * blocks

    def restored_bytes(self, elements: int, itemsize: int, double_quant: bool) -> int:
        """Return what a matrix takes while it is restored to `itemsize` bytes an element."""
        absmax = 2 * 4 * (elements // BLOCK) if double_quant else 0
        return elements * itemsize + absmax

    def config(self, double_quant: bool, compute_dtype: torch.dtype) -> BitsAndBytesConfig:
        """Return transformers' configuration of such a base."""
        from transformers import BitsAndBytesConfig

        if self.bits == 8:
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=self.name,
            bnb_4bit_use_double_quant=double_quant,
            bnb_4bit_compute_dtype=compute_dtype,
        )


Base = PlainBase | QuantizedBase

PLAIN: dict[str, PlainBase] = {"bf16": PlainBase(2), "fp16": PlainBase(2), "fp32": PlainBase(4)}

QUANTIZED: dict[str, QuantizedBase] = {
    base.name: base
    for base in (
        QuantizedBase("nf4"),
        QuantizedBase("fp4"),
        QuantizedBase("int8", bits=8, trains=False, keeps_inputs=True),
    )
}

TRAINABLE = tuple(name for name, base in QUANTIZED.items() if base.trains)
"""The types that a recipe may name."""
