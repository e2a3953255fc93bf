"""The picture of a comparison: memory, time, and what each method can do afterwards."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labs_lib import figures
from labs_lib.colors import of_method
from labs_lib.training.comparison import PARTS, Comparison


def comparison_figure(comparison: Comparison) -> tuple[Any, str]:
    """Return (figure, alternative text): memory by part, seconds a step, score and what is kept."""
    comparison = replace(comparison, arms=tuple(comparison.trained()))
    methods = comparison.methods()
    metric = next(iter(comparison.arms[0].rates), None)
    fig, (memory, speed, score) = figures.new_figure("", "", "", columns=3)
    bottom = dict.fromkeys(methods, 0.0)
    for part in PARTS:
        heights = [comparison.mean(method, f"{part}_bytes") / 2**30 for method in methods]
        memory.bar(
            methods, heights, bottom=list(bottom.values()),
            color=figures.MEMORY_COLORS[part], label=part,
        )  # fmt: skip
        bottom = {m: low + h for (m, low), h in zip(bottom.items(), heights, strict=True)}
    memory.set_ylabel("peak (GiB)")
    memory.set_ylim(0, max(bottom.values()) * 1.75)
    memory.legend(fontsize=8, loc="upper right", ncols=2, reverse=True)
    memory.set_title("memory", fontsize=11)
    speed.bar(
        methods, [comparison.mean(m, "seconds_per_step") for m in methods],
        color=[of_method(m) for m in methods],
    )  # fmt: skip
    speed.set_ylabel("seconds a step")
    speed.set_title("time", fontsize=11)
    wide = 0.38
    bars = [(-0.5, metric, metric.replace("_", " "))] if metric else []
    for shift, name, label in (*bars, (0.5, "probe_kept", "kept")):
        values = [[100 * v for v in comparison.values(m, name)] for m in methods]
        means = [statistics.fmean(seeds) for seeds in values]
        reach = [
            [mean - min(seeds) for mean, seeds in zip(means, values, strict=True)],
            [max(seeds) - mean for mean, seeds in zip(means, values, strict=True)],
        ]
        score.bar(
            [at + shift * wide for at in range(len(methods))], means, width=wide, yerr=reach,
            label=label, color=figures.PALETTE[4 if shift < 0 else 5], capsize=3,
        )  # fmt: skip
    score.set_xticks(range(len(methods)), methods)
    score.set_ylabel("share (%)")
    score.set_ylim(0, 135)
    score.set_yticks(range(0, 101, 20))
    score.legend(fontsize=8, loc="upper center", ncols=2)
    score.set_title("held-out score, knowledge kept", fontsize=11)
    words = "; ".join(
        f"{m}: {comparison.mean(m, 'peak_bytes') / 2**30:.2f} GiB, "
        f"{comparison.mean(m, 'seconds_per_step'):.2f} s a step, "
        + (f"{metric.replace('_', ' ')} {comparison.mean(m, metric):.0%}, " if metric else "")
        + f"knowledge kept {_share(comparison.mean(m, 'probe_kept'))}"
        for m in methods
    )
    return fig, f"Three bar charts. {words}."


def draw_seeds(values: Mapping[str, Sequence[float]], *, title: str, label: str) -> figures.Picture:
    """Return a dot for each seed and a line at the mean, a row for each method.

    `values` maps a method to one number a seed; `label` says on the axis what it is, in percent.
    """
    fig, axes = figures.new_figure(title, label, "", height_inches=1.2 + 0.6 * len(values))
    for row, (method, numbers) in enumerate(values.items()):
        axes.plot(numbers, [row] * len(numbers), "o", color=of_method(method), markersize=10)
        mean = statistics.fmean(numbers)
        axes.plot(mean, row, "|", color=figures.INK, markersize=28, markeredgewidth=2)
    axes.set_yticks(range(len(values)), values)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(min(map(min, values.values())) - 5, 101)
    said = "; ".join(
        f"{method} {', '.join(f'{number:.1f}' for number in numbers)}"
        for method, numbers in values.items()
    )
    return figures.show(fig, alt=f"A dot for each seed, a line at the mean. {said}. {title}.")


def _share(value: float) -> str:
    return "nothing, since it knew nothing" if math.isnan(value) else f"{value:.0%}"
