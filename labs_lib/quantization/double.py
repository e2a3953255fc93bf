"""Double quantization: the scales of the blocks are quantized themselves, to 8 bits.

A block of 64 spends 32 bits on its absmax, half a bit a weight.  The scales of a layer are
alike, so their mean is taken off and what remains is stored in the 8-bit dynamic type, with
one fp32 scale for 256 of them.  Source: QLoRA, arXiv 2305.14314, §3 "Double Quantization".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from labs_lib.quantization.codebooks import dynamic_codebook

DOUBLE_BLOCK = 256
STEPS = 65535


@dataclass(frozen=True)
class DoubleQuantized:
    """Quantized scales.

    `codes` (blocks,) uint8; `absmax` (ceil(blocks/256),) fp32; the mean that was taken off,
    `offset`, a scalar fp32 tensor.
    """

    codes: torch.Tensor
    absmax: torch.Tensor
    offset: torch.Tensor


def double_quantize(absmax: torch.Tensor) -> DoubleQuantized:
    """Quantize the (blocks,) fp32 scales of a tensor to 8 bits each.

    Equal bit for bit to what `bitsandbytes.functional.quantize_4bit(compress_statistics=True)`
    keeps on a CPU.
    """
    offset = absmax.mean()
    centered = absmax - offset
    blocks = torch.nn.functional.pad(centered, (0, -len(centered) % DOUBLE_BLOCK)).view(
        -1, DOUBLE_BLOCK
    )
    largest = blocks.abs().amax(dim=1)
    inverse = torch.where(largest == 0, 0.0, 1 / largest)
    codes = _nearest_by_table((blocks * inverse.unsqueeze(1)).clamp(-1, 1))
    codes[largest == 0] = 0  # scales that are all alike: nothing is left to store
    return DoubleQuantized(codes.view(-1)[: len(absmax)], largest, offset)


def double_dequantize(scales: DoubleQuantized) -> torch.Tensor:
    """Return the (blocks,) fp32 scales that the codes represent."""
    table = _table(scales.codes.device)[0]
    largest = scales.absmax.repeat_interleave(DOUBLE_BLOCK)[: len(scales.codes)]
    return table[scales.codes.int()] * largest + scales.offset


def _nearest_by_table(scaled: torch.Tensor) -> torch.Tensor:
    # 255 comparisons a value would be slow, so bitsandbytes' CPU code rounds to one of 65,536
    # steps and looks the nearest code up.  Near a midpoint that can be the neighbor of the
    # true nearest (0.15 % of normal values); to agree with it to the bit, so do we.
    step = ((scaled + 1) * 0.5 * STEPS + 0.5).int()
    return _table(scaled.device)[1][step]


@functools.cache
def _table(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    book = dynamic_codebook()
    steps = -1 + 2 * torch.arange(STEPS + 1, dtype=torch.float32) / STEPS
    nearest = torch.bucketize(steps, 0.5 * (book[:-1] + book[1:])).to(torch.uint8)
    return book.to(device), nearest.to(device)
