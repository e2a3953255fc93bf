"""What the GPU tests try, on any device: so that the trials themselves are tried without a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labs_lib.errors import LabError
from labs_lib.quantization import quantize
from labs_lib.quantization.blockwise import dequantize
from labs_lib.step.methods import METHODS
from labs_lib.training import Recipe
from labs_lib.training.recipe import parse_assignment

RATE = 1e-3
"""LoRA's learning rate; another method's is its `rate_share` of it."""


def recipe_of(method: str, steps: int, **fields: Any) -> Recipe:
    """Return sea-captain by this method, with few answers and no checkpoint."""
    rate = RATE * METHODS[method].rate_share
    common: dict[str, Any] = {
        "name": f"card-{method.replace('_', '-')}",
        "dataset": "sea-captain",
        "rank": 8,
        "alpha": 128,
        "target_modules": "all-linear",
        "batch_size": 4,
        "max_length": 128,
        "eval_rows": 4,
        "eval_tokens": 24,
        "checkpoint_every": 0,
    }
    return Recipe.of(**common | {"method": method, "steps": steps, "learning_rate": rate} | fields)


# ---- bitsandbytes' kernels against the course's own quantization --------------------------------


@dataclass(frozen=True)
class Kernels:
    """How bitsandbytes' kernels on a device differ from the course's code on a CPU.

    `same_codes` is the share of equal 4-bit codes, the errors are the largest of any, as shares of
    the largest number.
    """

    same_codes: float
    absmax_error: float
    value_error: float


def kernels_on(device: str, quant_type: str, double_quant: bool) -> Kernels:
    """Quantize and restore a matrix on the device, and by the course's own code."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    weight = torch.randn(256, 1024, generator=torch.Generator().manual_seed(0))
    ours = quantize(weight, quant_type, double_quant=double_quant)
    packed, state = quantize_4bit(
        weight.to(device), quant_type=quant_type, compress_statistics=double_quant
    )
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).flatten().cpu()
    scales = _scales_of(state).cpu()
    restored = dequantize_4bit(packed, state).cpu()
    alike = (codes == ours.codes).view_as(weight)
    values = torch.where(alike, (restored - dequantize(ours)).abs(), 0.0)
    return Kernels(
        same_codes=alike.float().mean().item(),
        absmax_error=_largest_error(scales, ours.scales),
        value_error=(values.max() / weight.abs().max()).item(),
    )


def _scales_of(state: Any) -> torch.Tensor:
    from bitsandbytes.functional import dequantize_blockwise

    if not state.nested:
        return state.absmax
    return dequantize_blockwise(state.absmax, state.state2) + state.offset


def product_errors(device: str, tokens: int) -> tuple[float, float]:
    """Return the errors of a 4-bit layer's product and of its gradient, as shares of their norms.

    Against the course's own restored weight, multiplied in fp32 on a CPU. A card takes another
    kernel for few tokens than for many.
    """
    from bitsandbytes.nn.modules import Linear4bit

    source = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(512, 768, bias=False)
    linear.weight.data = torch.randn(768, 512, generator=source)
    x = torch.randn(tokens, 512, generator=source)
    restored = dequantize(quantize(linear.weight.data, double_quant=True))
    layer: Any = Linear4bit(512, 768, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    layer.load_state_dict(linear.state_dict())
    layer = layer.to(device)
    given = x.to(device=device, dtype=torch.bfloat16).requires_grad_()
    product = layer(given)
    product.sum().backward()
    assert given.grad is not None
    exact = given.detach().float().cpu() @ restored.T
    gradient = torch.ones(tokens, 768) @ restored
    return (
        _relative(product.detach().float().cpu(), exact),
        _relative(given.grad.float().cpu(), gradient),
    )


def _largest_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


# ---- a paged optimizer where memory is short ----------------------------------------------------


def stepped(device: str, paged: bool, millions: float, memory: Any = None) -> torch.Tensor:
    """Return parameters after three steps of AdamW in fp32, its states paged or not.

    `memory` is a context in which the steps are taken, and with them the states are made.
    """
    from contextlib import nullcontext

    from bitsandbytes.optim.adamw import AdamW32bit, PagedAdamW32bit

    count = int(millions * 1e6)
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(count).to(device))
    gradient = torch.randn(count).to(device)
    kind: Any = PagedAdamW32bit if paged else AdamW32bit
    optimizer = kind([parameter], lr=1e-2)
    with memory or nullcontext():
        for _ in range(3):
            parameter.grad = gradient
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
    return parameter.detach().cpu()


@contextmanager
def nearly_full(spare_bytes: int) -> Iterator[None]:
    """Leave about `spare_bytes` of the GPU's memory free inside the block."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(free - spare_bytes, dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del ballast
        torch.cuda.empty_cache()


# ---- what an out-of-memory line advises ---------------------------------------------------------


@dataclass(frozen=True)
class Advice:
    """One change of the line: the recipe's fields, and the bytes that it is said to save."""

    fields: dict[str, Any]
    saved_bytes: float | None


_SAVES = re.compile(r" \(saves about ([\d.]+) (GiB|MiB)\)")


def advised(line: str) -> list[Advice]:
    """Return what an out-of-memory line advises, first to last."""
    changes = line.partition("Change, first to last: ")[2].partition(". The last checkpoint")[0]
    found = []
    for change in changes.split("; "):
        saves = _SAVES.search(change)
        words = _SAVES.sub("", change)
        pairs = [parse_assignment(part.replace(": ", "=", 1)) for part in words.split(", ")]
        unit = {"GiB": 2**30, "MiB": 2**20}
        size = float(saves[1]) * unit[saves[2]] if saves else None
        found.append(Advice(dict(pairs), size))
    return found


def followed(
    recipe: Recipe, train: Callable[[Recipe], Any], most: int = 6
) -> tuple[Any, list[Recipe]]:
    """Train, and after each failure take the first change that is advised; until a run ends.

    Returns the run and the recipes that were tried. Raises the last error after `most` tries.
    """
    tried = [recipe]
    while True:
        try:
            return train(tried[-1]), tried
        except LabError as error:
            if len(tried) == most or "out of GPU memory" not in str(error):
                raise
            tried.append(tried[-1].but(**advised(str(error))[0].fields))


@contextmanager
def card_of(size_bytes: float) -> Iterator[None]:
    """Let torch take no more than `size_bytes` of the GPU inside the block."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, size_bytes / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def peak_of(recipe: Recipe, folder: Path) -> int:
    """Return the measured peak of a run's steps, in bytes."""
    from labs_lib.training import train
    from labs_lib.training.progress import Silent

    return train(recipe, folder, progress=Silent()).cost.peak_bytes
