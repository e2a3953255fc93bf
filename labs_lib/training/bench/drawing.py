"""The picture of a bench: what each method learned against what that cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labs_lib import figures
from labs_lib.step.methods import METHODS
from labs_lib.training.bench.results import BenchResult
from labs_lib.training.sweep_points import Spread

AXES: dict[str, tuple[str, float, bool]] = {
    "loss": ("held-out loss (nats per token)", 1, True),
    "score": ("score (%)", 0.01, False),
    "text_loss_change": ("change of the loss on plain text (nats per token)", 1, True),
    "probe_kept": ("facts kept (%)", 0.01, False),
    "peak_bytes": ("peak memory (MiB)", 2**20, True),
    "train_seconds": ("training (s)", 1, True),
    "saved_bytes": ("saved file (MiB)", 2**20, True),
    "trainable_parameters": ("trained parameters", 1, True),
}
"""What may be an axis: its label, its unit, and whether less of it is better."""

LOG_FROM = 4
"""Losses whose largest is this many times the smallest are drawn on a logarithmic axis."""

_MARKERS = "osD^vPX*"


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points that no other one beats, where less is better on both axes.

    A point is beaten by one that is nowhere worse and somewhere better.
    """
    return [
        at
        for at, (x, y) in enumerate(points)
        if not any(
            other_x <= x and other_y <= y and (other_x, other_y) != (x, y)
            for other_x, other_y in points
        )
    ]


def draw_pareto(
    bench: BenchResult, task: str, x: str = "text_loss_change", y: str = "loss"
) -> figures.Picture:
    """Draw a method a point, with bars from the lowest seed to the highest on both axes.

    `x` and `y` are names of `AXES`. A line joins the methods that no other one beats on both
    axes; the title names them. Methods of one family have one color.
    """
    found = {}
    for name in bench.methods(task):
        at = {axis: bench.spread(task, name, axis) for axis in (x, y)}
        if not any(math.isnan(spread.mean) for spread in at.values()):
            found[name] = at
    signs = [1 if AXES[axis][2] else -1 for axis in (x, y)]
    means = [(signs[0] * at[x].mean, signs[1] * at[y].mean) for at in found.values()]
    names = list(found)
    best = sorted((means[at], names[at]) for at in front(means))
    title = f"{task}: no method beats {', '.join(name for _, name in best)} on both axes"
    fig, axes = figures.new_figure(title, AXES[x][0], AXES[y][0], height_inches=5)
    families = list(dict.fromkeys(METHODS[bench.bench.method_of(n)].family for n in names))
    for name, at in found.items():
        family = METHODS[bench.bench.method_of(name)].family
        place = families.index(family)
        values = {axis: [v / AXES[axis][1] for v in _three(at[axis])] for axis in (x, y)}
        axes.errorbar(
            values[x][1], values[y][1], xerr=_reach(values[x]), yerr=_reach(values[y]),
            marker=_MARKERS[place], color=figures.PALETTE[place], capsize=3, linestyle="",
            label=family,
        )  # fmt: skip
        axes.annotate(
            name, (values[x][1], values[y][1]), xytext=(6, 4), textcoords="offset points",
            fontsize=8,
        )  # fmt: skip
    line = [
        (found[name][x].mean / AXES[x][1], found[name][y].mean / AXES[y][1]) for _, name in best
    ]
    axes.plot(*zip(*line, strict=True), color=figures.INK, linewidth=1, linestyle=":")
    heights = [at[y].mean for at in found.values()]
    if y == "loss" and max(heights) > LOG_FROM * min(heights):
        axes.set_yscale("log")
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks(lambda value, _place: f"{value:g}")
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), fontsize=8)
    words = "; ".join(
        f"{name} {at[x].mean / AXES[x][1]:.3g} and {at[y].mean / AXES[y][1]:.3g}"
        for name, at in found.items()
    )
    return figures.show(
        fig, alt=f"A point a method: {AXES[x][0]} and {AXES[y][0]}. {words}. {title}."
    )


def _three(spread: Spread) -> tuple[float, float, float]:
    return spread.low, spread.mean, spread.high


def _reach(values: Sequence[float]) -> list[list[float]]:
    low, mean, high = values
    return [[mean - low], [high - mean]]
