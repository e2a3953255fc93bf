"""The NF4 explorer: choose a code type, a block size and an outlier, and see what 4 bits keep."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
import traitlets

from labs_lib.colors import BLUE, ORANGE, THEME_FAINT, THEME_LINE
from labs_lib.errors import LabError, shorten
from labs_lib.quantization import (
    QUANT_TYPES,
    Quantized,
    check_quant_type,
    codebook,
    dequantize,
    quantize,
    stored_bytes,
    with_outlier,
)
from labs_lib.widgets.instrument import Instrument, Rows, label, rect, svg

SAMPLE = 16384  # torch keeps work on fewer than 32,768 values in one thread, which is steady
BLOCK_SIZES = (16, 32, 64, 128, 256, 1024, 4096, SAMPLE)
BINS = 80
_HIGHEST_OUTLIER = 1000.0


@dataclass(frozen=True)
class Exploration:
    """What the explorer shows of one setting.

    `histogram` is the share of weights in each of 80 equal bins of weight ÷ absmax, from −1 to
    1; `codes` the values of the code book, ascending, and `shares` the share of weights that
    each represents.  `relative_error` is the root mean square error over that of the weights
    without the outlier, so that settings compare; `max_error` is in the weights' unit.
    """

    quant_type: str
    block_size: int
    outlier: float
    double_quant: bool
    weights: int
    histogram: tuple[float, ...]
    codes: tuple[float, ...]
    shares: tuple[float, ...]
    relative_error: float
    max_error: float
    bits_per_parameter: float

    @property
    def codes_in_use(self) -> int:
        """How many codes represent at least one weight in a thousand."""
        return sum(share >= 0.001 for share in self.shares)


def explore(
    weights: torch.Tensor,
    quant_type: str = "nf4",
    block_size: int = 64,
    outlier: float = 0.0,
    double_quant: bool = False,
) -> Exploration:
    """Quantize `weights` (flat, fp32) with one of them replaced by an outlier, and describe it.

    `outlier` is the size of the one replaced weight in standard deviations, 0 for none.
    LabError for a type that does not exist, a block size that is no power of two, or an
    outlier that is no number from 0 to 1,000.
    """
    check_quant_type(quant_type)
    number = isinstance(outlier, (int, float)) and not isinstance(outlier, bool)
    if not number or not 0 <= outlier <= _HIGHEST_OUTLIER:
        raise LabError(
            f"outlier: {shorten(outlier)} is not a number of standard deviations from 0 to 1000"
        )
    changed = with_outlier(weights, outlier)
    quantized = quantize(changed, quant_type, block_size, double_quant)
    error = dequantize(quantized, torch.float32) - changed
    kept = weights.clone()
    if outlier:
        kept[len(kept) // 2] = 0
    book = codebook(quant_type)
    order = torch.argsort(book, stable=True)
    shares = torch.bincount(quantized.codes, minlength=len(book))[order] / len(changed)
    return Exploration(
        quant_type=quant_type,
        block_size=block_size,
        outlier=float(outlier),
        double_quant=bool(double_quant),
        weights=len(changed),
        histogram=_histogram(changed, quantized),
        codes=tuple(book[order].tolist()),
        shares=tuple(shares.tolist()),
        relative_error=(error.norm() / kept.norm()).item(),
        max_error=error.abs().max().item(),
        bits_per_parameter=stored_bytes(quantized).bits_per_parameter,
    )


class NF4Explorer(Instrument):
    """Sliders for code type, block size, outlier and double quantization, and their effect.

    `weights` takes a tensor of your own, a layer of a model say: its first 16,384 values are
    shown.  Without it 16,384 normal weights of standard deviation 0.02 are, always the same.
    """

    heading = "NF4 explorer: what 4 bits keep of a weight"
    css_class = "lab-nf4-explorer"
    state = ("quant_type", "block_size", "outlier", "double_quant")

    quant_type: Any = traitlets.Any("nf4", help='"nf4", "fp4" or "int4"')
    block_size: Any = traitlets.Any(64, help="weights that share one scale; a power of two")
    outlier: Any = traitlets.Float(0.0, help="one weight, in standard deviations; 0 for none")
    double_quant: Any = traitlets.Bool(False, help="whether the scales are quantized too")

    def __init__(self, weights: torch.Tensor | None = None, **state: Any):
        """Take a weight to look at (any shape) and the state by trait name."""
        self._weights = _sample() if weights is None else _flat(weights)
        super().__init__(**state)

    def controls(self) -> Sequence[ipywidgets.Widget]:
        """Return the four controls."""
        wide = ipywidgets.Layout(width="420px", max_width="100%")
        return (
            self.bind(
                "quant_type",
                ipywidgets.ToggleButtons(
                    options=list(QUANT_TYPES), description="Code type", value="nf4"
                ),
            ),
            self.bind(
                "block_size",
                ipywidgets.Dropdown(
                    options=[(f"{size:,}", size) for size in BLOCK_SIZES],
                    value=64,
                    description="Block size (weights)",
                    layout=wide,
                ),
            ),
            self.bind(
                "outlier",
                ipywidgets.FloatSlider(
                    min=0,
                    max=100,
                    step=1,
                    description="One outlier (standard deviations)",
                    readout_format=".0f",
                    layout=wide,
                ),
            ),
            self.bind(
                "double_quant",
                ipywidgets.Checkbox(description="Quantize the scales too", indent=False),
            ),
        )

    def compute(self) -> Exploration:
        """Return the figures of the present state."""
        return explore(
            self._weights, self.quant_type, self.block_size, self.outlier, self.double_quant
        )

    def rows(self, figures: Exploration) -> Rows:
        """Return error, size and code use."""
        return (
            ("Error (rms, share of the weights' rms)", f"{figures.relative_error:.2%}"),
            ("Largest error (in the weights' unit)", f"{figures.max_error:.5f}"),
            ("Bits per weight, scales included", f"{figures.bits_per_parameter:.3f}"),
            (
                "Codes used by 0.1 % of the weights or more",
                f"{figures.codes_in_use} of {len(figures.codes)}",
            ),
        )

    def line(self, figures: Exploration) -> str:
        """Return the setting and its figures in one line."""
        extras = f", outlier {figures.outlier:g} sd" if figures.outlier else ""
        extras += ", double quantization" if figures.double_quant else ""
        return (
            f"{figures.quant_type}, blocks of {figures.block_size}{extras}: "
            f"error {figures.relative_error:.1%}, {figures.bits_per_parameter:.3f} bits per "
            f"weight, {figures.codes_in_use} of {len(figures.codes)} codes in use"
        )

    def picture(self, figures: Exploration) -> str:
        """Return the histogram of scaled weights with the codes under it, and their use."""
        return explorer_svg(figures, self.line(figures))


_WIDTH, _HEIGHT = 640, 330
_LEFT, _RIGHT = 50, 12
_TOP, _BASE = 26, 172  # of the histogram
_USE_TOP, _USE_BASE = 222, 300  # of the shares


def explorer_svg(figures: Exploration, words: str) -> str:
    """Draw an exploration: weights above, codes between, the use of each code below."""
    parts = [label(_LEFT, 16, "Weights ÷ absmax of their block (bars) and the values of the codes")]
    top = max(figures.histogram)
    width = (_WIDTH - _LEFT - _RIGHT) / BINS
    for number, share in enumerate(figures.histogram):
        tall = (_BASE - _TOP) * share / top
        parts.append(rect(_LEFT + number * width, _BASE - tall, width - 0.6, tall, BLUE))
    parts.append(_line(_LEFT, _BASE, _WIDTH - _RIGHT, _BASE, THEME_LINE))
    for code in figures.codes:
        x = _across(code)
        parts.append(_line(x, _TOP, x, _BASE + 8, ORANGE, dashed=True))
    for tick in (-1, -0.5, 0, 0.5, 1):
        parts.append(
            label(_across(tick), _BASE + 22, f"{tick:g}", anchor="middle", fill=THEME_FAINT)
        )
    most = f"{top:.0%}"
    parts.append(label(_LEFT - 6, _TOP + 10, most, anchor="end", fill=THEME_FAINT))
    parts.append(label(_LEFT, _USE_TOP - 8, "Share of the weights that each code represents"))
    highest = max(figures.shares)
    slot = (_WIDTH - _LEFT - _RIGHT) / len(figures.codes)
    for number, share in enumerate(figures.shares):
        x = _LEFT + number * slot
        tall = (_USE_BASE - _USE_TOP) * share / highest
        parts.append(rect(x + 3, _USE_BASE - tall, slot - 6, tall, ORANGE))
        parts.append(
            label(x + slot / 2, _USE_BASE + 15, str(number), anchor="middle", fill=THEME_FAINT)
        )
    parts.append(_line(_LEFT, _USE_BASE, _WIDTH - _RIGHT, _USE_BASE, THEME_LINE))
    parts.append(label(_LEFT - 6, _USE_TOP + 10, f"{highest:.0%}", anchor="end", fill=THEME_FAINT))
    parts.append(
        label(
            _LEFT,
            _USE_BASE + 29,
            "Codes, from the most negative value to the largest",
            fill=THEME_FAINT,
        )
    )
    return svg(_WIDTH, _HEIGHT + 6, "".join(parts), words)


def _across(value: float) -> float:
    return _LEFT + (value + 1) / 2 * (_WIDTH - _LEFT - _RIGHT)


def _line(x1: float, y1: float, x2: float, y2: float, color: str, dashed: bool = False) -> str:
    dash = ";stroke-dasharray:3 2" if dashed else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
        f'style="stroke:{color};stroke-width:1.5{dash}"/>'
    )


def _histogram(weights: torch.Tensor, quantized: Quantized) -> tuple[float, ...]:
    size = quantized.block_size
    blocks = torch.nn.functional.pad(weights, (0, -len(weights) % size)).view(-1, size)
    scaled = (blocks / quantized.scales.clamp(min=1e-38).unsqueeze(1)).view(-1)[: len(weights)]
    # Double quantization shifts a scale a little: what then lies beyond ±1 belongs to the end.
    bins = ((scaled + 1) * (BINS / 2)).int().clamp(0, BINS - 1)
    return tuple((torch.bincount(bins, minlength=BINS) / len(weights)).tolist())


@functools.cache
def _sample() -> torch.Tensor:
    return 0.02 * torch.randn(SAMPLE, generator=torch.Generator().manual_seed(0))


def _flat(weights: torch.Tensor) -> torch.Tensor:
    flat = weights.detach().reshape(-1)[:SAMPLE].float().cpu()
    if len(flat) < 2:
        raise LabError(f"weights: shape {tuple(weights.shape)} has fewer than 2 values to look at")
    return flat.clone()
