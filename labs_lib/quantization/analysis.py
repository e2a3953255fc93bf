"""How far 4-bit weights are from the real ones: by type, block size, layer, and outlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from labs_lib.errors import LabError
from labs_lib.quantization.blockwise import dequantize, quantize
from labs_lib.quantization.storage import stored_bytes


@dataclass(frozen=True)
class QuantizationError:
    """The error of one quantised weight.

    `rmse` and `max_error` are in the weight's own unit; `relative` is rmse divided by the root
    mean square of the weights (0 for an all-zero weight), so that layers can be compared;
    `bits_per_parameter` is counted from the tensors stored.
    """

    layer: str
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
    layer: str = "",
) -> QuantizationError:
    """Quantise a weight of any shape, de-quantise it in fp32 and measure the difference."""
    quantized = quantize(weight, quant_type, block_size, double_quant)
    real = weight.detach().float()
    difference = dequantize(quantized, torch.float32) - real
    rmse = _root_mean_square(difference)
    size = _root_mean_square(real)
    return QuantizationError(
        layer=layer,
        quant_type=quant_type,
        block_size=block_size,
        double_quant=double_quant,
        parameters=weight.numel(),
        rmse=rmse,
        relative=rmse / size if size else 0.0,
        max_error=difference.abs().max().item(),
        bits_per_parameter=stored_bytes(quantized).bits_per_parameter,
    )


def layer_errors(
    model: nn.Module,
    quant_types: Sequence[str] = ("nf4", "fp4", "int4"),
    block_sizes: Sequence[int] = (64,),
    double_quant: bool = False,
    containing: str = "",
) -> list[QuantizationError]:
    """Measure every linear layer of a model but its output layer, which QLoRA leaves alone.

    `containing` keeps the layers whose name contains it ("layers.0.", "down_proj").  One entry
    for each layer × type × block size.  LabError if no layer is left.
    """
    layers = [
        (name, module.weight)
        for name, module in model.named_modules()
        if type(module) is nn.Linear and not name.endswith("lm_head") and containing in name
    ]
    if not layers:
        raise LabError(f"containing: no unquantised linear layer's name contains {containing!r}")
    return [
        quantization_error(weight, quant_type, block_size, double_quant, name)
        for name, weight in layers
        for quant_type in quant_types
        for block_size in block_sizes
    ]


def summarize_errors(errors: Sequence[QuantizationError]) -> list[QuantizationError]:
    """Join the layers of each type × block size.

    Squares are averaged over parameters, the maximum is the largest, the bits are over all;
    `layer` says how many were joined.
    """
    groups: dict[tuple[str, int, bool], list[QuantizationError]] = {}
    for error in errors:
        key = (error.quant_type, error.block_size, error.double_quant)
        groups.setdefault(key, []).append(error)
    return [_joined(group) for group in groups.values()]


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


def _joined(group: Sequence[QuantizationError]) -> QuantizationError:
    parameters = sum(error.parameters for error in group)
    squares = sum(error.rmse**2 * error.parameters for error in group)
    real = sum((e.rmse / e.relative) ** 2 * e.parameters for e in group if e.relative)
    first = group[0]
    return QuantizationError(
        layer=f"{len(group)} layers",
        quant_type=first.quant_type,
        block_size=first.block_size,
        double_quant=first.double_quant,
        parameters=parameters,
        rmse=(squares / parameters) ** 0.5,
        relative=(squares / real) ** 0.5 if real else 0.0,
        max_error=max(error.max_error for error in group),
        bits_per_parameter=sum(e.bits_per_parameter * e.parameters for e in group) / parameters,
    )


def _root_mean_square(values: torch.Tensor) -> float:
    return values.square().mean(dtype=torch.float64).sqrt().item()
