"""What a quantized weight occupies, to the byte: by formula, and as allocated."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import nn

from labs_lib.errors import LabError
from labs_lib.quantization.blockwise import Quantized
from labs_lib.quantization.double import DOUBLE_BLOCK, DoubleQuantized
from labs_lib.quantization.settings import check_block_size


@dataclass(frozen=True)
class StoredBytes:
    """The bytes of quantized weights by part, for `parameters` values.

    `codebook_bytes` are the tables that bitsandbytes keeps a copy of for each tensor (64 bytes
    for the 16 values, 1,024 more for the 8-bit type of double quantization); this room keeps
    one for all, hence 0.
    """

    parameters: int
    packed_bytes: int
    scale_bytes: int
    codebook_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Codes, scales and code books together."""
        return self.packed_bytes + self.scale_bytes + self.codebook_bytes

    @property
    def bits_per_parameter(self) -> float:
        """Bits for each value, scales and code books included."""
        return 8 * self.total_bytes / self.parameters

    def __add__(self, other: StoredBytes) -> StoredBytes:
        return StoredBytes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def bits_per_parameter(block_size: int = 64, double_quant: bool = False) -> float:
    """Return the bits a weight costs, code books and ends of rows left out.

    4 + 32/block_size; with double quantization 4 + 8/block_size + 32/(block_size·256): 4.5 and
    4.127 at QLoRA's block of 64.  Source: QLoRA, arXiv 2305.14314, §3.
    """
    size = check_block_size(block_size)
    if double_quant:
        return 4 + 8 / size + 32 / (size * DOUBLE_BLOCK)
    return 4 + 32 / size


def stored_bytes(weight: Any) -> StoredBytes:
    """Count the bytes that a quantized weight occupies, from the tensors themselves.

    Takes a `Quantized` of this room or a 4-bit parameter of bitsandbytes (`Params4bit`).
    LabError for a weight that is not quantized.
    """
    if isinstance(weight, Quantized):
        scales = weight.absmax
        parts = (
            [scales.codes, scales.absmax, scales.offset]
            if isinstance(scales, DoubleQuantized)
            else [scales]
        )
        return StoredBytes(weight.shape.numel(), weight.packed.nbytes, sum(p.nbytes for p in parts))
    state = getattr(weight, "quant_state", None)
    if state is None:
        raise LabError(f"weight: a {type(weight).__name__} that is not quantized to 4 bits")
    scale_bytes, codebook_bytes = state.absmax.nbytes, state.code.nbytes
    if state.nested:
        scale_bytes += state.state2.absmax.nbytes + state.offset.nbytes
        codebook_bytes += state.state2.code.nbytes
    return StoredBytes(state.shape.numel(), weight.nbytes, scale_bytes, codebook_bytes)


def model_stored_bytes(model: nn.Module) -> tuple[StoredBytes, int]:
    """Return what all 4-bit weights of a model occupy, and the bytes of everything else.

    The rest are parameters and buffers kept in 16 or 32 bits: embeddings, norms, biases,
    adapters.  A tied weight is counted once.
    """
    quantized, rest_bytes, seen = StoredBytes(0, 0, 0), 0, set()
    for module in model.modules():
        own = getattr(module, "quantized", None)
        if isinstance(own, Quantized):
            quantized += stored_bytes(own)
            seen |= {id(buffer) for buffer in module.buffers(recurse=False)}
    for tensor in [*model.parameters(), *model.buffers()]:
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if isinstance(tensor, torch.Tensor) and getattr(tensor, "quant_state", None) is not None:
            quantized += stored_bytes(tensor)
        else:
            rest_bytes += tensor.nbytes
    return quantized, rest_bytes
