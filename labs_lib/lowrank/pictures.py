"""The pictures of the lessons on low rank; each title says what the numbers handed in show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labs_lib.colors import tint
from labs_lib.figures import INK, MEMORY_COLORS, PALETTE, Picture, new_figure, show
from labs_lib.lowrank.decomposition import factorise

_STYLES = ("-", "--", ":")
_ADAPTER = MEMORY_COLORS["adapter"]
_LEARNS = 0.1  # nats per token by which the loss must fall


def draw_factors(d_out: int, d_in: int, rank: int) -> Picture:
    """Draw ΔW (d_out, d_in) next to its factors B (d_out, rank) and A (rank, d_in), to scale."""
    numbers = rank * (d_out + d_in)
    title = f"B and A hold {numbers / (d_out * d_in):.2%} of the numbers of ΔW"
    fig, axes = new_figure(title, "columns (to scale)", "rows (to scale)", height_inches=3.4)
    gap = d_in / 3
    corners = {
        "ΔW": (0.0, 0.0, d_in, d_out),
        "B": (d_in + gap, 0.0, rank, d_out),
        "A": (d_in + 2 * gap, d_out / 2, d_in, rank),
    }
    for name, (x, y, wide, high) in corners.items():
        # All three are the adapter's: ΔW is what B and A multiply to.
        fill = tint(_ADAPTER) if name == "ΔW" else _ADAPTER
        axes.fill([x, x + wide, x + wide, x], [y, y, y + high, y + high], fc=fill, ec=_ADAPTER)
        axes.text(x + wide / 2, y + high + d_out / 40, f"{name}: {high} × {wide}", ha="center")
    axes.set_aspect("equal")
    axes.set_ylim(0, 1.15 * d_out)
    axes.grid(False)
    words = f"{title}: a rectangle of {d_out} × {d_in} and two strips, B {d_out} × {rank} and "
    return show(fig, alt=f"{words}A {rank} × {d_in}.")


def draw_starts(losses: Mapping[str, Sequence[float]]) -> Picture:
    """Draw the loss (nats per token) over the first steps from several starts of A and B.

    `losses` maps the name of a start to the loss before each step and after the last.
    """
    fall = {name: each[0] - each[-1] for name, each in losses.items()}
    stuck = [name for name, by in fall.items() if by < _LEARNS]
    title = f"{len(losses) - len(stuck)} of {len(losses)} starts learn"
    if stuck:
        title += f"; no progress from: {', '.join(stuck)}"
    fig, axes = new_figure(title, "steps taken", "loss (nats per token)")
    for (name, each), marker in zip(losses.items(), "os^Dx", strict=False):
        axes.plot(range(len(each)), each, marker=marker, label=name)
    axes.set_xticks(range(max(map(len, losses.values()))))
    axes.legend()
    words = ", ".join(f"{name} {each[0]:.2f} to {each[-1]:.2f}" for name, each in losses.items())
    return show(fig, alt=f"{title}. Loss over the first steps: {words}.")


def draw_at_ranks(picture: Any, ranks: Sequence[int]) -> Picture:
    """Draw a gray picture (height, width) as its best approximations of several ranks.

    The title names the last rank but one.
    """
    terms = factorise(picture)
    second_last = ranks[-2]
    cost = second_last * sum(terms.shape) / (terms.shape[0] * terms.shape[1])
    kept = terms.energy_kept(second_last)
    title = f"Rank {second_last} keeps {kept:.1%} of the energy with {cost:.0%} of the numbers"
    fig, panels = new_figure(title, "", "", columns=len(ranks), height_inches=2.2)
    for axes, rank in zip(panels, ranks, strict=True):
        axes.imshow(terms.approximation(rank), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"rank {rank}: {terms.energy_kept(rank):.1%}", fontweight="normal")
        axes.axis("off")
    return show(fig, alt=f"{title}. The picture at ranks {', '.join(map(str, ranks))}.")


def draw_energy(energies: Sequence[Mapping[str, np.ndarray]], rank: int = 8) -> Picture:
    """Draw the share of the energy kept at each rank, for several matrices of each kind.

    Each of `energies` maps the same kinds ("ΔW", "W", "random") to the shares at ranks 1, 2, ….
    """
    kinds = list(energies[0])
    at_rank = {kind: [float(each[kind][rank - 1]) for each in energies] for kind in kinds}
    spans = [f"{kind} {min(kept):.0%} to {max(kept):.0%}" for kind, kept in at_rank.items()]
    title = f"Energy kept at rank {rank}: {', '.join(spans)}"
    fig, axes = new_figure(title, "rank (log scale)", "share of energy kept")
    # The adapter's color for the update, the base's for W.
    colors = _ADAPTER, MEMORY_COLORS["weights"], PALETTE[0]
    for kind, color, style in zip(kinds, colors, _STYLES, strict=False):
        for number, each in enumerate(energies):
            kept = each[kind]
            label = "" if number else kind
            axes.plot(range(1, len(kept) + 1), kept, style, color=color, linewidth=1.4, label=label)
    axes.axvline(rank, color=INK, linewidth=1)
    axes.set_xscale("log")
    axes.legend()
    return show(fig, alt=f"{title}. Curves of {len(energies)} matrices of each kind over the rank.")


def draw_descent(errors: Sequence[float], best: float, rank: int) -> Picture:
    """Draw how gradient descent on B·A approaches the truncated SVD's relative error, `best`."""
    gap = errors[-1] / best - 1
    title = f"B·A trained for {len(errors)} steps ends {gap:.1%} above the truncated SVD's error"
    fig, axes = new_figure(title, "step", f"relative error at rank {rank} (log scale)")
    axes.plot(range(1, len(errors) + 1), errors, color=_ADAPTER, label="B·A trained by Adam")
    axes.axhline(best, color=INK, linestyle="--", label="truncated SVD")
    axes.set_yscale("log")
    axes.legend()
    return show(fig, alt=f"{title}, {best:.4f}.")


def draw_effect(effect: Mapping[int, float], energy: Mapping[int, float], rank: int = 8) -> Picture:
    """Draw the share of a change's effect and of its energy that is kept, by the rank of the cut.

    The title speaks of `rank`, one of the ranks.
    """
    title = (
        f"Rank {rank} keeps {energy[rank]:.0%} of the energy and {effect[rank]:.0%} of the effect"
    )
    fig, axes = new_figure(title, "rank of the cut (log scale)", "share kept")
    ranks = sorted(effect)
    for label, share, style in (
        ("effect on the loss", effect, "-"),
        ("energy ‖ΔW‖²", energy, "--"),
    ):
        axes.plot(ranks, [share[each] for each in ranks], style, marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks, [str(each) for each in ranks])
    axes.set_ylim(0, 1.05)
    axes.legend(loc="lower right")
    words = ", ".join(f"rank {each}: {effect[each]:.0%} and {energy[each]:.0%}" for each in ranks)
    return show(fig, alt=f"{title}. Share of effect and of energy kept: {words}.")
