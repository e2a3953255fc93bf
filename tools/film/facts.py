"""Every figure that the film shows, computed by the course's own code when the film is made."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from labs_lib import data
from labs_lib.lowrank import count_lora_parameters
from labs_lib.memory import Forecast, card, forecast
from labs_lib.models import entry
from labs_lib.quantization import bits_per_parameter, nf4_codebook
from labs_lib.training import recorded_comparison

GB = 10**9
SEVEN, SEVENTY, SMALL = "llama-2-7b", "llama-2-70b", "smollm2-1.7b-instruct"
CARDS = {24: "RTX 4090", 32: "RTX 5090", 48: "L40S", 80: "H100"}
# The steps whose memory is shown; all are of one sequence of 512 tokens, adapters on q and v.
STEPS: dict[str, dict[str, Any]] = {
    "full": {"model": SEVEN, "method": "full"},
    "mixed": {"model": SEVEN, "method": "full", "precision": "mixed"},
    "small": {"model": SMALL, "method": "full"},
    "lora": {"model": SEVEN, "method": "lora"},
    "qlora": {"model": SEVEN, "method": "qlora"},
    "saved": {"model": SEVEN, "method": "qlora", "checkpointing": True},
    "seventy": {"model": SEVENTY, "method": "qlora", "checkpointing": True},
}
TASKS = 10


@dataclass(frozen=True)
class Toy:
    """LoRA by hand on a matrix of 6 × 6: what is drawn while it learns.

    `weight` (6, 6) is frozen; `factors` holds B (6, 2) and A (2, 6) before each step and after the
    last; `losses` the mean squared error of W + B·A there.
    """

    weight: Any
    factors: tuple[tuple[Any, Any], ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Facts:
    """The film's figures: `words` fill the script, the rest is drawn.

    `steps` maps a name to its forecast, `room` a card's size to what a process can use of it, both
    in GB; `book` are NF4's 16 values; `samples` what two adapters of the course learn to answer.
    """

    words: dict[str, str]
    steps: dict[str, dict[str, float]]
    room: dict[int, float]
    shares: dict[str, tuple[int, float]]
    book: tuple[float, ...]
    bits: tuple[float, float]
    quality: dict[str, float]
    samples: dict[str, tuple[str, str]]
    toy: Toy

    def peak(self, step: str) -> float:
        """Return a step's peak in GB."""
        return sum(self.steps[step].values())


@functools.cache
def facts() -> Facts:
    """Compute the figures; a second or two, no training."""
    forecasts = {name: forecast(optimizer="adamw_fused", **how) for name, how in STEPS.items()}
    shares = {
        words: _share(targets, rank)
        for words, targets, rank in (
            ("q and v, rank 8", "q,v", 8),
            ("q and v, rank 16", "q,v", 16),
            ("all linear layers, rank 16", "all-linear", 16),
        )
    }
    bench = recorded_comparison("compare")
    quality = {method: bench.mean(method, "exactly_right") for method in ("full", "lora", "qlora")}
    bits = bits_per_parameter(), bits_per_parameter(double_quant=True)
    return Facts(
        words=_words(forecasts, shares, bits, quality),
        steps={
            name: {kind: size / GB for kind, size in step.at_peak.items()}
            for name, step in forecasts.items()
        },
        room={size: card(name).usable_bytes / GB for size, name in CARDS.items()},
        shares=shares,
        book=tuple(nf4_codebook().tolist()),
        bits=bits,
        quality=quality,
        samples={name: _sample(name) for name in ("sea-captain", "structured-output")},
        toy=toy(),
    )


def _share(targets: str, rank: int) -> tuple[int, float]:
    """Return what LoRA trains of a 7B, and its share of all parameters as PEFT prints it."""
    trained = count_lora_parameters(SEVEN, targets, rank)
    return trained, trained / (entry(SEVEN).parameters + trained)


def _words(
    forecasts: dict[str, Forecast],
    shares: dict[str, tuple[int, float]],
    bits: tuple[float, float],
    quality: dict[str, float],
) -> dict[str, str]:
    """Return the figures as they are written on the screen and in the captions."""
    seven = entry(SEVEN)
    wide = seven.hidden_size
    few, twice, many = shares.values()
    model_bytes = 2 * seven.parameters
    with_adapters = model_bytes + TASKS * 4 * many[0]
    return {
        **{name: f"{step.peak_bytes / GB:.1f}" for name, step in forecasts.items()},
        "billions": f"{seven.parameters / 1e9:.2f}",
        "base": f"{forecasts['lora'].weights_bytes / GB:.2f}",
        "base_short": f"{forecasts['lora'].weights_bytes / GB:.1f}",
        "four_bit_base": f"{forecasts['qlora'].weights_bytes / GB:.2f}",
        "adapter": f"{forecasts['lora'].adapter_bytes / GB:.3f}",
        "over": f"{forecasts['full'].peak_bytes / card(CARDS[24]).usable_bytes:.1f}",
        "wide": f"{wide:,}",
        "square": f"{wide * wide:,}",
        "strips": f"{8 * 2 * wide:,}",
        "strips_percent": f"{8 * 2 / wide:.2%}".replace("%", " %"),
        **{
            f"{name}_{unit}": form
            for name, (count, share) in (("few", few), ("twice", twice), ("many", many))
            for unit, form in (
                ("count", f"{count:,}"),
                ("millions", f"{count / 1e6:.1f}"),
                ("percent", f"{share:.3%}".replace("%", " %")),
            )
        },
        "bits": f"{bits[0]:g}",
        "double_bits": f"{bits[1]:.3f}",
        "as_models": f"{TASKS * model_bytes / GB:.0f}",
        "as_adapters": f"{with_adapters / GB:.1f}",
        **{
            f"right_{method}": f"{share:.0%}".replace("%", " %")
            for method, share in quality.items()
        },
    }


def _sample(name: str) -> tuple[str, str]:
    """Return the shortest training row of one of the course's sets: prompt and completion."""
    rows = data.load_set(name).train
    row = min(rows, key=lambda row: len(row.prompt) + len(row.completion))
    return row.prompt, row.completion


def toy(steps: int = 40, rate: float = 0.35) -> Toy:
    """Train A and B of rank 2 by gradient descent, so that W + B·A nears another matrix."""
    import numpy as np

    random = np.random.default_rng(3)
    weight = random.normal(size=(6, 6))
    target = weight + random.normal(size=(6, 2)) @ random.normal(size=(2, 6)) * 0.8
    b, a = np.zeros((6, 2)), random.normal(size=(2, 6)) * 0.6
    factors, losses = [], []
    for _ in range(steps + 1):
        gap = weight + b @ a - target
        factors.append((b.copy(), a.copy()))
        losses.append(float((gap**2).mean()))
        b, a = b - rate * gap @ a.T / 6, a - rate * b.T @ gap / 6
    return Toy(weight, tuple(factors), tuple(losses))
