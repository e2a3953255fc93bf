"""Rank and alpha: what each buys, what it costs, and what the layer makes of both."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from labs_lib.colors import BLUE, ORANGE, THEME_FAINT, THEME_LINE, THEME_PAPER
from labs_lib.errors import LabError
from labs_lib.lowrank.counting import adapter_bytes, target_shapes
from labs_lib.lowrank.decomposition import Factorisation, factorise
from labs_lib.lowrank.knobs import check_rank, scaling_of
from labs_lib.models.catalogue import entry
from labs_lib.widgets.heatmap import Thumbnail, heat_png
from labs_lib.widgets.instrument import Instrument, Rows, human_bytes, image, label, svg
from labs_lib.widgets.model_controls import model_choice, row, target_choice

ONE_MATRIX = "one matrix"


@dataclass(frozen=True)
class RankAlphaFigures:
    """What a rank and an alpha come to.

    `share` is trainable ÷ (base + trainable), as PEFT prints it. `kept` is the share of ‖ΔW‖² that
    the best approximation of this rank keeps of the update that is shown.
    """

    rank: int
    alpha: float
    use_rslora: bool
    parameters: int
    base_parameters: int
    disk_bytes: int
    scaling: float
    scaling_doubled: float
    kept: float

    @property
    def share(self) -> float:
        """Trainable parameters as a share of all, 0 to 1."""
        return self.parameters / (self.base_parameters + self.parameters)


def rank_alpha(
    model: str,
    targets: str,
    rank: int,
    alpha: float,
    *,
    use_rslora: bool = False,
    d_in: int = 4096,
    d_out: int = 4096,
    update: Factorisation | None = None,
) -> RankAlphaFigures:
    """Return the figures of LoRA on a catalogue model, or on "one matrix" (d_out, d_in).

    Raises `LabError` for an illegal knob, an unknown name, or a rank above the smaller dimension
    of a targeted layer.
    """
    scaling = scaling_of(rank, alpha, use_rslora)
    shapes, per_rank, base_parameters = _shapes(model, targets, d_in, d_out)
    for (inputs, outputs), name in shapes.items():
        check_rank(rank, outputs, inputs, name)
    parameters = rank * per_rank
    parts = update or example_update()
    return RankAlphaFigures(
        rank=rank,
        alpha=alpha,
        use_rslora=use_rslora,
        parameters=parameters,
        base_parameters=base_parameters,
        disk_bytes=adapter_bytes(parameters),
        scaling=scaling,
        scaling_doubled=scaling_of(2 * rank, alpha, use_rslora),
        kept=parts.energy_kept(min(rank, parts.largest_rank)),
    )


class RankAlpha(Instrument):
    """Sliders for rank and alpha over a model's layers; an update beside its best rank-r one.

    `update` is a ΔW of your own, (d_out, d_in), such as weights after training minus before;
    without it a made-up one with falling singular values is drawn, and called an example.
    """

    heading = "Rank and alpha"
    css_class = "lab-rank-alpha"
    state = ("model", "targets", "d_in", "d_out", "rank", "alpha", "use_rslora")

    model: Any = traitlets.Unicode("llama-2-7b")
    targets: Any = traitlets.Unicode("q,v")
    d_in: Any = traitlets.Int(4096)
    d_out: Any = traitlets.Int(4096)
    rank: Any = traitlets.Int(8)
    alpha: Any = traitlets.Float(16.0)
    use_rslora: Any = traitlets.Bool(False)

    def __init__(self, update: Any = None, **state: Any):
        self._is_example = update is None
        self._update = example_update() if update is None else factorise(update)
        self._thumbnail = Thumbnail(self._update, pixels=96)
        self._full_png = heat_png(self._thumbnail.full, self._thumbnail.limit)
        super().__init__(**state)

    def controls(self) -> list[ipywidgets.Widget]:
        """Model, targets, shape; rank, alpha, rsLoRA."""
        sizes = row(
            self.bind("d_in", ipywidgets.IntText(description="d_in")),
            self.bind("d_out", ipywidgets.IntText(description="d_out")),
        )

        def show_sizes(_: Any = None) -> None:
            sizes.layout.display = "flex" if self.model == ONE_MATRIX else "none"

        self.observe(show_sizes, names="model")
        show_sizes()
        wide = ipywidgets.Layout(width="460px", max_width="98%")
        return [
            row(model_choice(self, first=(ONE_MATRIX,)), target_choice(self)),
            sizes,
            self.bind(
                "rank", ipywidgets.IntSlider(min=1, max=256, description="rank r", layout=wide)
            ),
            self.bind(
                "alpha",
                ipywidgets.FloatSlider(
                    min=0, max=256, step=1, readout_format=".0f", description="alpha", layout=wide
                ),
            ),
            self.bind(
                "use_rslora", ipywidgets.Checkbox(description="rsLoRA: alpha/√r", indent=False)
            ),
        ]

    def compute(self) -> RankAlphaFigures:
        """Return `rank_alpha` of the present state."""
        return rank_alpha(
            self.model,
            self.targets,
            self.rank,
            self.alpha,
            use_rslora=self.use_rslora,
            d_in=self.d_in,
            d_out=self.d_out,
            update=self._update,
        )

    def rows(self, figures: RankAlphaFigures) -> Rows:
        """Parameters, share, size on disk, scaling, and the scaling at twice the rank."""
        rule = "alpha/√r" if figures.use_rslora else "alpha/r"
        change = figures.scaling_doubled / figures.scaling
        return [
            ("trainable parameters", f"{figures.parameters:,}"),
            ("share of all parameters", percent(figures.share)),
            ("adapter on disk, 32-bit", human_bytes(figures.disk_bytes)),
            (f"scaling {rule}", f"{figures.scaling:.4g}"),
            (
                f"scaling with r doubled to {2 * figures.rank}, alpha left at {figures.alpha:g}",
                f"{figures.scaling_doubled:.4g} (× {change:.2f})",
            ),
        ]

    def picture(self, figures: RankAlphaFigures) -> str:
        """Draw ΔW, its best rank-r approximation, that scaled, and the scaling over rank."""
        seen, side = self._thumbnail, 150
        cut = seen.at(figures.rank)
        d_out, d_in = self._update.shape
        panels = [
            (
                "an example ΔW" if self._is_example else "your ΔW",
                f"{d_out} × {d_in}",
                self._full_png,
            ),
            (
                f"best of rank {min(figures.rank, self._update.largest_rank)}",
                f"keeps {percent(figures.kept)} of ‖ΔW‖²",
                heat_png(cut, seen.limit),
            ),
            (
                f"the same × scaling {figures.scaling:.3g}",
                "what the layer would add",
                heat_png(cut * figures.scaling, seen.limit),
            ),
        ]
        body = "".join(
            label(x, 14, title)
            + image(x, 22, side, side, png)
            + label(x, 190, note, fill=THEME_FAINT)
            for x, (title, note, png) in zip((4, 170, 336), panels, strict=True)
        )
        return svg(760, 200, body + _scaling_curve(figures, 550, 22, 190, 130), self.line(figures))

    def line(self, figures: RankAlphaFigures) -> str:
        """Return the figures in one line."""
        where = f"{self.d_out} × {self.d_in}" if self.model == ONE_MATRIX else self.model
        on = "" if self.model == ONE_MATRIX else f" on {self.targets}"
        return (
            f"{where}{on}, rank {figures.rank}, alpha {figures.alpha:g}"
            f"{', rsLoRA' if figures.use_rslora else ''}: {figures.parameters:,} trainable "
            f"parameters ({percent(figures.share)}), {human_bytes(figures.disk_bytes)} on disk, "
            f"scaling {figures.scaling:.4g}; {figures.scaling_doubled:.4g} at rank "
            f"{2 * figures.rank}"
        )


@functools.cache
def example_update() -> Factorisation:
    """Return a made-up update (256, 256) whose singular values fall as i^-0.7."""
    draw = np.random.default_rng(0)
    left, _ = np.linalg.qr(draw.normal(size=(256, 256)))
    right, _ = np.linalg.qr(draw.normal(size=(256, 256)))
    return Factorisation(left, np.arange(1, 257) ** -0.7, right)


def percent(share: float) -> str:
    """Return a share as per cent, to three figures; below 1 it is never rounded up to 100 %."""
    value = 100 * share
    if value > 100:
        return f"{value:,.0f} %"
    if value >= 99.95:
        return "100 %" if share == 1 else f"{min(value, 99.999):.3f} %"
    return f"{value:.1f} %" if value >= 10 else f"{value:.3g} %"


@functools.lru_cache(maxsize=64)
def _shapes(
    model: str, targets: str, d_in: int, d_out: int
) -> tuple[dict[tuple[int, int], str], int, int]:
    """Return the targeted shapes, each with a name, Σ (d_in + d_out), and the base's parameters."""
    if model == ONE_MATRIX:
        for field, size in (("d_in", d_in), ("d_out", d_out)):
            if size < 1:
                raise LabError(f"{field}: {size} is not legal; a whole number of 1 or more")
        return {(d_in, d_out): "the matrix"}, d_in + d_out, d_in * d_out
    chosen = entry(model)
    layers = target_shapes(chosen, targets)
    shapes = {shape: name for name, shape in reversed(layers.items())}  # the first layer's name
    return shapes, sum(map(sum, layers.values())), chosen.parameters


def _scaling_curve(figures: RankAlphaFigures, x: int, y: int, width: int, height: int) -> str:
    """Draw alpha/r and alpha/√r over r = 1 … 512, both axes by doublings; mark r and 2r."""
    top, bottom = math.log2(figures.alpha), math.log2(figures.alpha) - 9

    def place(rank: float, scaling: float) -> tuple[float, float]:
        across = x + width * math.log2(rank) / 9
        return across, y + height * (top - math.log2(scaling)) / (top - bottom)

    parts = [
        label(x, y - 8, "scaling over rank, alpha fixed"),
        f'<path d="M{x} {y}V{y + height}H{x + width}" style="stroke:{THEME_LINE};fill:none"/>',
    ]
    for rank in (1, 8, 64, 512):
        parts.append(label(place(rank, 1)[0], y + height + 15, str(rank), anchor="middle"))
    parts.append(label(x + width / 2, y + height + 30, "rank r", anchor="middle", fill=THEME_FAINT))
    for scaling in (figures.alpha, figures.alpha / 8, figures.alpha / 64, figures.alpha / 512):
        parts.append(
            label(
                x - 4,
                place(1, scaling)[1] + 4,
                f"{scaling:.{3 if scaling > 1 else 2}g}",
                anchor="end",
            )
        )
    for power, color, name, above in ((0.5, ORANGE, "alpha/√r", 27), (1.0, BLUE, "alpha/r", 48)):
        x1, y1 = place(1, figures.alpha)
        x2, y2 = place(512, figures.alpha / 512**power)
        used = (power == 0.5) == figures.use_rslora
        parts.append(
            f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" style="stroke:{color};stroke-width:'
            f'{3 if used else 1.5};stroke-dasharray:{"none" if used else "4 4"}"/>'
        )
        parts.append(label(x2, y2 - above, name, anchor="end", fill=color))
        if used:
            for rank, filled in ((figures.rank, True), (2 * figures.rank, False)):
                cx, cy = place(rank, figures.alpha / rank**power)
                fill = color if filled else THEME_PAPER
                parts.append(
                    f'<circle cx="{cx:g}" cy="{cy:g}" r="5" style="fill:{fill};stroke:{color};'
                    f'stroke-width:2"/>'
                )
                words = f"r = {rank}" if filled else f"{rank}"
                parts.append(label(cx - 7, cy + 15, words, anchor="end"))
    return "".join(parts)
