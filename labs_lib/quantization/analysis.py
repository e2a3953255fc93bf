"""How far 4-bit weights are from the real ones: by type, block size, and outlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from labs_lib.quantization.blockwise import dequantize, quantize
from labs_lib.quantization.storage import stored_bytes


@dataclass(frozen=True)
class QuantizationError:
    """The error of one quantized weight.

    `rmse` and `max_error` are in the weight's own unit; `relative` is rmse divided by the root
    mean square of the weights (0 for an all-zero weight), so that weights can be compared;
    `bits_per_parameter` is counted from the tensors stored.
    """

    quant_type: str
    block_size: int
    double_quant: bool
    parameters: int
    rmse: float
    relative: float
    max_error: float
    bits_per_parameter: float


def quantization_error(
    weight: torch.Tensor,
    quant_type: str = "nf4",
    block_size: int = 64,
    double_quant: bool = False,
) -> QuantizationError:
    """Quantize a weight of any shape, de-quantize it in fp32 and measure the difference."""
    quantized = quantize(weight, quant_type, block_size, double_quant)
    real = weight.detach().float()
    difference = dequantize(quantized, torch.float32) - real
    rmse = _root_mean_square(difference)
    size = _root_mean_square(real)
    return QuantizationError(
        quant_type=quant_type,
        block_size=block_size,
        double_quant=double_quant,
        parameters=weight.numel(),
        rmse=rmse,
        relative=rmse / size if size else 0.0,
        max_error=difference.abs().max().item(),
        bits_per_parameter=stored_bytes(quantized).bits_per_parameter,
    )


def with_outlier(weight: torch.Tensor, standard_deviations: float) -> torch.Tensor:
    """Return a copy whose middle value is so many standard deviations large; 0 adds none."""
    changed = weight.detach().clone().float()
    if standard_deviations:
        changed.view(-1)[changed.numel() // 2] = standard_deviations * changed.std()
    return changed


def outlier_effect(
    weight: torch.Tensor,
    standard_deviations: float = 50.0,
    block_sizes: Sequence[int] = (32, 64, 256, 1024, 4096),
    quant_type: str = "nf4",
) -> list[tuple[int, float, float]]:
    """Return (block_size, relative error without, with one outlier) of a weight.

    The outlier enlarges the scale of its own block only, so in smaller blocks fewer weights
    lose accuracy.  The outlier is the absmax of its block and is stored exactly.  Both errors are
    relative to the weight without it.
    """
    changed = with_outlier(weight, standard_deviations)
    plain = weight.detach().float()
    results = []
    for block_size in block_sizes:
        pair = []
        for tensor in (plain, changed):
            difference = dequantize(quantize(tensor, quant_type, block_size)) - tensor
            pair.append(_root_mean_square(difference) / _root_mean_square(plain))
        results.append((block_size, pair[0], pair[1]))
    return results


def code_usage(weight: torch.Tensor, quant_type: str = "nf4", block_size: int = 64) -> torch.Tensor:
    """Return the share of weights that each code represents, (16,) fp32, which sums to 1."""
    codes = quantize(weight, quant_type, block_size).codes
    return torch.bincount(codes.int(), minlength=16).float() / len(codes)


def _root_mean_square(values: torch.Tensor) -> float:
    return values.square().mean(dtype=torch.float64).sqrt().item()
