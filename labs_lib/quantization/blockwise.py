"""Block-wise 4-bit quantization: divide by the block's absmax, take the nearest code, pack.

The results equal those of `bitsandbytes.functional.quantize_4bit` and `dequantize_4bit` on a
CPU bit for bit (codes, absmax, values); `tests/unit/test_quantization_blockwise.py` compares them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from labs_lib.errors import LabError
from labs_lib.quantization.codebooks import cached_codebook
from labs_lib.quantization.double import DoubleQuantized, double_dequantize, double_quantize
from labs_lib.quantization.nearest import cached_table, nearest_codes
from labs_lib.quantization.settings import check_block_size, check_quant_type

CHUNK = 7 * 2**12  # values at a time: few enough for the cache, and for torch to use one thread
TINY = 1e-38  # used as the absmax of an all-zero block, because 0 cannot be divided by


@dataclass(frozen=True)
class Quantized:
    """A quantized tensor: two codes a byte, and the scale of each block.

    `packed` (ceil(n/2),) uint8, the earlier code in the high half of the byte; `absmax`
    (ceil(n/block_size),) fp32, or its double-quantized form; `shape` and `dtype` are those of
    the tensor that was quantized.
    """

    packed: torch.Tensor
    absmax: torch.Tensor | DoubleQuantized
    shape: torch.Size
    dtype: torch.dtype
    quant_type: str
    block_size: int

    @property
    def codes(self) -> torch.Tensor:
        """The codes one by one, (n,) uint8, without the padding of an odd n."""
        return unpack_codes(self.packed, math.prod(self.shape))

    @property
    def scales(self) -> torch.Tensor:
        """The absmax of each block, (blocks,) fp32, as de-quantization uses it."""
        if isinstance(self.absmax, DoubleQuantized):
            return double_dequantize(self.absmax)
        return self.absmax


# ---- the quantizer ----------------------------------------------------------------------------


def quantize(
    tensor: torch.Tensor, quant_type: str = "nf4", block_size: int = 64, double_quant: bool = False
) -> Quantized:
    """Quantize a tensor of any shape (fp32, bf16 or fp16) to 4 bits a value.

    Blocks of `block_size` values are taken in memory order, over the rows; the last may be
    shorter.  With `double_quant` the scales are quantized too.  LabError for a type that does
    not exist, a block size that is no power of two, a tensor that is empty, not of floats, or
    not finite.
    """
    table = cached_table(check_quant_type(quant_type), tensor.device)
    size = check_block_size(block_size)
    _check_tensor(tensor)
    flat = tensor.detach().reshape(-1)
    absmax = torch.empty(-(-len(flat) // size), dtype=torch.float32, device=flat.device)
    packed = torch.empty(-(-len(flat) // 2), dtype=torch.uint8, device=flat.device)
    whole = len(flat) - len(flat) % size
    step = max(CHUNK // size, 1) * size
    for start in range(0, whole, step):
        end = min(start + step, whole)
        blocks = flat[start:end].float().view(-1, size)
        largest = absmax[start // size : end // size] = block_absmax(blocks, size)
        scaled = blocks * (1 / largest.clamp(min=TINY)).unsqueeze(1)
        packed[start // 2 : end // 2] = pack_codes(nearest_codes(scaled, table).view(-1))
    if whole < len(flat):  # the short last block, as bitsandbytes does it: divided, not multiplied
        rest = flat[whole:].float()
        absmax[-1] = rest.abs().max().clamp(min=TINY)
        scaled = torch.nn.functional.pad(rest / absmax[-1], (0, len(rest) % 2))
        packed[whole // 2 :] = pack_codes(nearest_codes(scaled, table))
    if not absmax.isfinite().all():
        raise LabError("tensor: contains NaN or infinity, which no code can represent")
    scales = double_quantize(absmax) if double_quant else absmax
    return Quantized(packed, scales, tensor.shape, tensor.dtype, quant_type, size)


def block_absmax(tensor: torch.Tensor, block_size: int) -> torch.Tensor:
    """Return the largest absolute value of each block: (ceil(n/block_size),) fp32."""
    flat = tensor.reshape(-1).float()
    flat = torch.nn.functional.pad(flat, (0, -len(flat) % block_size))
    return flat.view(-1, block_size).abs().amax(dim=1)


def pack_codes(codes: torch.Tensor) -> torch.Tensor:
    """Put two 4-bit codes in a byte, the earlier one in the high half: (n,) → (n/2,) uint8."""
    return (codes[::2] << 4) | codes[1::2]


# ---- and back ---------------------------------------------------------------------------------


def unpack_codes(packed: torch.Tensor, count: int) -> torch.Tensor:
    """Return the first `count` codes of `packed`, one a byte: (count,) uint8."""
    return torch.stack([packed >> 4, packed & 15], dim=1).view(-1)[:count]


def dequantize(quantized: Quantized, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return the values that the codes represent, in the original shape.

    Each is `codebook[code] · absmax`, computed in fp32 and rounded once to `dtype` (by
    default the dtype of the tensor that was quantized).
    """
    book = cached_codebook(quantized.quant_type, quantized.packed.device)
    count, size = math.prod(quantized.shape), quantized.block_size
    scales = quantized.scales
    values = torch.empty(count, dtype=dtype or quantized.dtype, device=book.device)
    pairs = _value_pairs(book)
    step = max(CHUNK // size, 1) * size
    for start in range(0, count, step):
        end = min(start + step, count)
        packed = quantized.packed[start // 2 : -(-end // 2)]
        chunk = pairs.index_select(0, packed.int()).view(-1)
        chunk = torch.nn.functional.pad(chunk, (0, -len(chunk) % size)).view(-1, size)
        chunk *= scales[start // size : -(-end // size)].unsqueeze(1)
        values[start:end] = chunk.view(-1)[: end - start]
    return values.view(quantized.shape)


def _value_pairs(book: torch.Tensor) -> torch.Tensor:
    """Return the two values of every possible byte, (256, 2): one look-up serves two codes."""
    padded = torch.nn.functional.pad(book, (0, 16 - len(book)))
    return torch.stack([padded.repeat_interleave(16), padded.repeat(16)], dim=1)


def _check_tensor(tensor: torch.Tensor) -> None:
    if tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise LabError(
            f"tensor: dtype {tensor.dtype} cannot be quantized; legal: float32, bfloat16, float16"
        )
    if tensor.numel() == 0:
        raise LabError(f"tensor: shape {tuple(tensor.shape)} has no values to quantize")
