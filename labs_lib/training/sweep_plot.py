"""The picture of a sweep: lines of means, with bars from the lowest seed to the highest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from labs_lib import figures
from labs_lib.colors import of_method
from labs_lib.training.sweep_points import Spread

LOSS = "held-out loss (nats per token)"
_LOSS_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
_MARKERS = "osD^v"


def draw_lines(
    title: str,
    x_label: str,
    lines: Mapping[str, Mapping[float, Spread]],
    y_label: str = LOSS,
    *,
    log: bool = True,
    before: float | None = None,
) -> figures.Picture:
    """Draw one line for each label: a spread over the seeds at each place on the x axis.

    `log` makes both axes logarithmic; otherwise both are linear and y begins at 0. `before` is
    drawn as a dotted line: the value before training. The alternative text names every mean.
    """
    fig, axes = figures.new_figure(title, x_label, y_label)
    styles = zip(itertools.cycle(figures.PALETTE), itertools.cycle(_MARKERS), strict=False)
    for (label, line), (color, marker) in zip(lines.items(), styles, strict=False):
        means = [spread.mean for spread in line.values()]
        reach = [
            [mean - spread.low for mean, spread in zip(means, line.values(), strict=True)],
            [spread.high - mean for mean, spread in zip(means, line.values(), strict=True)],
        ]
        own = of_method(label, otherwise=color)
        axes.errorbar(list(line), means, reach, label=label, color=own, marker=marker, capsize=4)
    if before is not None:
        axes.axhline(before, color=figures.INK, linestyle=":", label="before training")
    places = sorted({x for line in lines.values() for x in line})
    _scale(axes, places, log)
    axes.legend()
    words = "; ".join(
        f"{label}: " + ", ".join(f"{spread.mean:.2f} at {x:g}" for x, spread in line.items())
        for label, line in lines.items()
    )
    past = "" if before is None else f" Before training: {before:.2f}."
    return figures.show(fig, alt=f"{y_label} over {x_label}. {words}.{past}")


def _scale(axes: Any, places: list[float], log: bool) -> None:
    """Label the x axis at the measured places alone, and a logarithmic y axis in plain numbers."""
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        ticks = [tick for tick in _LOSS_TICKS if low <= tick <= high]
        axes.yaxis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.yaxis.set_ticks([], minor=True)
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_ticks(places, labels=[f"{place:g}" for place in places])
    axes.xaxis.set_ticks([], minor=True)
