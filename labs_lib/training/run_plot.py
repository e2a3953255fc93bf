"""Pictures of one run: its scores before and after, and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labs_lib import figures

if TYPE_CHECKING:
    from labs_lib.training.run import Run


def draw_scores(run: Run, labels: Mapping[str, str]) -> figures.Picture:
    """Return bars of a run's scores before and after training, in percent of the held-out rows.

    `labels` names the metrics of `run.scores()` that are drawn, and says each for people.
    """
    scores = run.scores()
    shares = {
        words: {when: 100 * (scores[metric][when] or 0.0) for when in ("before", "after")}
        for metric, words in labels.items()
    }
    findings = [
        f"{words} {each['before']:.0f} → {each['after']:.0f} %" for words, each in shares.items()
    ]
    title = "Held-out answers " + ", ".join(findings)
    fig, axes = figures.new_figure(title, "", f"held-out answers (% of {len(run.after.prompts)})")
    # Before training the model is the base alone; afterwards an adapter is on it.
    colors = figures.MEMORY_COLORS["weights"], figures.MEMORY_COLORS["adapter"]
    for shift, color, when in zip((-0.2, 0.2), colors, ("before", "after"), strict=True):
        heights = [each[when] for each in shares.values()]
        places = [at + shift for at in range(len(shares))]
        bars = axes.bar(places, heights, width=0.38, label=when, color=color)
        axes.bar_label(bars, fmt="%.0f %%")
    axes.set_xticks(range(len(shares)), shares)
    axes.set_ylim(0, 115)
    axes.legend()
    return figures.show(fig, alt=f"Bars before and after training. {title}.")


def draw_losses(run: Run) -> figures.Picture:
    """Return the training loss at every step and the held-out loss before and after."""
    steps, last = len(run.losses), run.losses[-1]
    title = (
        f"In {steps} steps the training loss fell from {_loss(run.losses[0])} to {_loss(last)}, "
        f"the held-out loss from {_loss(run.before.loss)} to {_loss(run.after.loss)}"
    )
    fig, axes = figures.new_figure(title, "step", "loss (nats per token)")
    axes.plot(
        range(1, steps + 1), run.losses, color=figures.PALETTE[0], label="training rows, each step"
    )
    curve = run.validation_curve
    kept = curve.kept_step if curve else steps
    axes.plot(
        [0, kept], [run.before.loss, run.after.loss], "o", markersize=9,
        color=figures.PALETTE[5], label="held-out rows, before and after",
    )  # fmt: skip
    if curve:
        places, losses = zip(*curve.losses, strict=True)
        axes.plot(places, losses, color=figures.PALETTE[5], label="held-out rows, on the way")
        axes.axvline(kept, color=figures.PALETTE[2], linestyle=":", label="saved weights")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figures.show(fig, alt=f"Loss against steps. {title}.")


def _loss(loss: float | None) -> str:
    """Return a loss with one decimal, below 0.1 with one digit that counts."""
    if loss is None:
        return "unknown"
    return f"{loss:.1f}" if loss >= 0.1 else f"{loss:.1g}"
