"""Targets, bias, dropout: which boxes of a Transformer block get an adapter, and what it costs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import ipywidgets
import traitlets

from labs_lib.colors import BLUE, ORANGE, PAPER, THEME_FAINT, THEME_INK, THEME_LINE, THEME_PANEL
from labs_lib.lowrank.counting import adapter_bytes, count_bias_parameters, target_shapes
from labs_lib.lowrank.knobs import check_dropout, check_rank
from labs_lib.models.catalogue import LinearShape, entry
from labs_lib.widgets.instrument import Instrument, Rows, human_bytes, label, rect, svg
from labs_lib.widgets.model_controls import model_choice, row, target_choice
from labs_lib.widgets.rank_alpha import percent

BIASES = ("none", "lora_only", "all")


@dataclass(frozen=True)
class KnobFigures:
    """What the knobs come to on a whole model.

    `adapted` maps the in-layer path of each adapted linear map to the parameters that its adapter
    adds in one layer.
    """

    model: str
    targets: str
    rank: int
    dropout: float
    bias: str
    adapted: dict[str, int]
    layers: int
    head_parameters: int
    adapter_parameters: int
    bias_parameters: int
    base_parameters: int

    @property
    def trainable_parameters(self) -> int:
        """Adapters and trained biases together."""
        return self.adapter_parameters + self.bias_parameters

    @property
    def share(self) -> float:
        """Trainable ÷ (base + adapters), as PEFT prints it."""
        return self.trainable_parameters / (self.base_parameters + self.adapter_parameters)


def knob_effects(
    model: str, targets: str, rank: int = 8, dropout: float = 0.0, bias: str = "none"
) -> KnobFigures:
    """Return which linear maps get an adapter and what they cost; `LabError` for illegal knobs."""
    check_dropout(dropout)
    chosen = entry(model)
    shapes, biases = _touched(model, targets, bias)
    for (d_in, d_out), name in {shape: name for name, shape in reversed(shapes.items())}.items():
        check_rank(rank, d_out, d_in, name)
    first = f"{chosen.family.layer_path}.0."
    return KnobFigures(
        model=chosen.name,
        targets=targets,
        rank=rank,
        dropout=dropout,
        bias=bias,
        adapted={
            name.removeprefix(first): rank * sum(shape)
            for name, shape in shapes.items()
            if name.startswith(first)
        },
        layers=chosen.layers,
        head_parameters=rank * sum(shapes.get("lm_head", ())),
        adapter_parameters=rank * sum(map(sum, shapes.values())),
        bias_parameters=biases,
        base_parameters=chosen.parameters,
    )


@functools.lru_cache(maxsize=64)
def _touched(model: str, targets: str, bias: str) -> tuple[dict[str, tuple[int, int]], int]:
    """Return the targeted shapes by module name and the biases that train: neither needs a rank."""
    return target_shapes(model, targets), count_bias_parameters(model, targets, bias)


class KnobEffects(Instrument):
    """A drawn Transformer block whose boxes light up as the targets change, with the bill."""

    heading = "What the knobs touch"
    css_class = "lab-knob-effects"
    state = ("model", "targets", "rank", "dropout", "bias")

    model: Any = traitlets.Unicode("smollm2-135m-instruct")
    targets: Any = traitlets.Unicode("q,v")
    rank: Any = traitlets.Int(8)
    dropout: Any = traitlets.Float(0.05)
    bias: Any = traitlets.Unicode("none")

    def controls(self) -> list[ipywidgets.Widget]:
        """Model and targets; rank, dropout, bias."""
        wide = ipywidgets.Layout(width="400px", max_width="98%")
        return [
            row(model_choice(self), target_choice(self)),
            self.bind(
                "rank", ipywidgets.IntSlider(min=1, max=256, description="rank r", layout=wide)
            ),
            self.bind(
                "dropout",
                ipywidgets.FloatSlider(
                    min=0, max=1, step=0.05, description="LoRA dropout", layout=wide
                ),
            ),
            self.bind("bias", ipywidgets.Dropdown(options=BIASES, description="bias")),
        ]

    def compute(self) -> KnobFigures:
        """Return `knob_effects` of the present state."""
        return knob_effects(self.model, self.targets, self.rank, self.dropout, self.bias)

    def rows(self, figures: KnobFigures) -> Rows:
        """Adapters, biases, share, size, and what dropout does and does not do."""
        kept = round(100 * (1 - figures.dropout))
        dropout = (
            f"{kept} of 100 on average, each × {1 / (1 - figures.dropout):.3g}"
            if figures.dropout
            else "all of them"
        )
        biases = f"{figures.bias_parameters:,}"
        if figures.bias != "none":
            biases += _why_biases(figures)
        per_layer = sum(figures.adapted.values())
        return [
            (
                f"adapter parameters, {figures.layers} layers × {per_layer:,}"
                + (f" + lm_head {figures.head_parameters:,}" if figures.head_parameters else ""),
                f"{figures.adapter_parameters:,}",
            ),
            (f"biases trained too (bias={figures.bias!r})", biases),
            ("share of all parameters that train", percent(figures.share)),
            ("on disk, 32-bit", human_bytes(adapter_bytes(figures.trainable_parameters))),
            ("inputs that the adapters see in a training step", dropout),
            ("parameters, bytes or latency that dropout adds", "none; off after training"),
        ]

    def picture(self, figures: KnobFigures) -> str:
        """Draw the attention half and the MLP half of one layer, left to right."""
        chosen = entry(figures.model)
        halves = [("attention", "softmax(QKᵀ/√d)·V"), ("mlp", "activation")]
        body, top = "", 8
        for role, middle in halves:
            maps = [linear for linear in chosen.linears if linear.role == role]
            part, height = _half(role, maps, middle, figures, top)
            body, top = body + part, top + height + 14
        body += _legend(figures, top + 6)
        return svg(760, top + 24, body, self.line(figures))

    def line(self, figures: KnobFigures) -> str:
        """Return the figures in one line."""
        names = ", ".join(figures.adapted) or "no map inside the layers"
        return (
            f"{figures.model}, {figures.targets}, rank {figures.rank}, dropout "
            f"{figures.dropout:g}, bias {figures.bias}: adapters on {names}; "
            f"{figures.trainable_parameters:,} parameters train ({percent(figures.share)}), "
            f"{figures.bias_parameters:,} of them biases"
        )


def _why_biases(figures: KnobFigures) -> str:
    if figures.bias_parameters:
        return " (the base changes too)"
    return " (these layers have none)" if figures.bias == "lora_only" else " (this model has none)"


def _half(
    role: str, maps: list[LinearShape], middle: str, figures: KnobFigures, top: int
) -> tuple[str, int]:
    """Draw norm → the maps side by side → what joins them → the last map → the residual sum."""
    *entries, last = maps
    height = max(2, len(entries)) * 50
    center = top + 16 + height / 2
    title = "Attention" if role == "attention" else "MLP"
    parts = [label(4, top + 10, title, style="font-weight:bold")]
    parts.append(_plain(4, center - 18, 70, "norm"))
    first = center - len(entries) * 25
    for index, linear in enumerate(entries):
        y = first + index * 50
        parts.append(_arrow(74, center, 108, y + 21))
        parts.append(_map(108, y, linear, figures))
        parts.append(_arrow(304, y + 21, 340, center))
    parts.append(_plain(340, center - 18, 140, middle))
    parts.append(_arrow(480, center, 510, center))
    parts.append(_map(510, center - 21, last, figures))
    parts.append(_arrow(706, center, 730, center))
    parts.append(label(742, center + 6, "⊕", anchor="middle", style="font-size:18px"))
    return "".join(parts), 16 + height


def _map(x: float, y: float, linear: LinearShape, figures: KnobFigures) -> str:
    """Draw a linear map 196 wide: its name and sizes; its adapter, or that it stays frozen."""
    cost = figures.adapted.get(linear.module)
    sizes = f"{linear.in_features:,} → {linear.out_features:,}"
    body = rect(x, y, 196, 42, THEME_PANEL, edge=BLUE if cost else THEME_LINE, radius=4)
    body += label(x + 8, y + 17, linear.name, style="font-weight:bold")
    body += label(x + 8, y + 34, sizes, fill=THEME_FAINT)
    trained = figures.bias == "all" or (figures.bias == "lora_only" and cost)
    if linear.bias:
        body += label(
            x + 118, y + 17, "bias", anchor="end", fill=ORANGE if trained else THEME_FAINT,
            style="font-weight:bold" if trained else "",
        )  # fmt: skip
    if not cost:
        return body + label(x + 188, y + 17, "frozen", anchor="end", fill=THEME_FAINT)
    body += rect(x + 124, y + 4, 68, 34, BLUE, radius=3)
    body += label(x + 158, y + 18, "+ B·A", anchor="middle", fill=PAPER, style="font-weight:bold")
    return body + label(x + 158, y + 33, short_count(cost), anchor="middle", fill=PAPER)


def _plain(x: float, y: float, width: float, words: str) -> str:
    body = rect(x, y, width, 36, "none", edge=THEME_LINE, radius=4)
    return body + label(x + width / 2, y + 22, words, anchor="middle", fill=THEME_INK)


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" style="stroke:{THEME_LINE};stroke-width:1.5"/>'


def _legend(figures: KnobFigures, y: float) -> str:
    words = (
        f"× {figures.layers} layers.  Blue: frozen weight + adapter, its parameters in one layer."
    )
    if figures.bias != "none" and figures.bias_parameters:
        words += "  Orange: a bias that trains."
    if figures.head_parameters:
        words += f"  lm_head has one too: {figures.head_parameters:,}."
    return label(4, y, words, fill=THEME_FAINT)


@functools.cache
def short_count(count: int) -> str:
    """Return a count in at most six characters: 9,216, 65.5 k, 1.05 M."""
    if count < 10_000:
        return f"{count:,}"
    size, unit = (1e6, "M") if count >= 1e6 else (1e3, "k")
    return f"{count / size:.3g} {unit}"
