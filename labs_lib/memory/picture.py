"""The timeline of one step: live bytes by kind, operation by operation, with the peak marked."""

from __future__ import annotations

from typing import Any

from labs_lib import figures
from labs_lib.memory.result import GIB, KINDS, Timeline, format_bytes

# The most points that a picture of this width can show.
_MOST_POINTS = 4000
_PHASES = {"forward": "forward", "backward": "backward", "step": "optimizer"}


def timeline_figure(timeline: Timeline, title: str = "") -> tuple[Any, str]:
    """Return (figure, alternative text) of a traced step.

    The bands are stacked: weights, adapter, optimizer states, gradients, activations and
    temporary tensors, in GiB, over the operations of the step in order. The largest groups of
    tensors alive at the peak are listed.
    """
    # What is loaded is there at once; the story begins with the forward pass.
    first = next(i for i, point in enumerate(timeline.points) if point.phase != "load")
    points = timeline.points[first:]
    totals = [sum(point.live.values()) for point in points]
    peak = max(range(len(points)), key=totals.__getitem__)
    kept = _thinned(totals, peak)
    where = points[peak]
    finding = f"The peak, {format_bytes(timeline.peak_bytes)}, is in {_moment(where)}"
    fig, ax = figures.new_figure(
        f"{title}\n{finding}" if title else finding,
        "operations of one training step, in order",
        "live (GiB)",
        height_inches=5.0,
    )
    bands = [[points[i].live[kind] / GIB for i in kept] for kind in KINDS]
    colors = [figures.MEMORY_COLORS[kind] for kind in KINDS]
    ax.stackplot(kept, bands, labels=KINDS, colors=colors, step="post", linewidth=0)
    ax.set_xlim(0, len(points) - 1)
    ax.set_ylim(0, timeline.peak_bytes / GIB * 1.22)
    ax.grid(axis="x", visible=False)
    _phases(ax, points, timeline.peak_bytes / GIB)
    ax.plot([peak], [timeline.peak_bytes / GIB], "v", color=figures.INK, markersize=8)
    alive = [row for row in timeline.alive if row.kind not in ("weights", "optimizer")][:5]
    words = "\n".join(
        f"{format_bytes(row.size_bytes)}  {row.copies} × {row.operation.strip('_')} "
        f"{'×'.join(map(str, row.shape))} {row.dtype}  {_short(row.module)}"
        for row in alive
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    fig.text(  # pyright: ignore[reportUnknownMemberType]  # matplotlib's keywords have no types
        0.01,
        -0.01,
        f"Alive at the peak, besides weights and states:\n{words}",
        va="top",
        fontsize=9,
        family="monospace",
    )
    alt = (
        f"Stacked area of live memory over one training step. {finding}: "
        + ", ".join(f"{k} {format_bytes(where.live[k])}" for k in KINDS if where.live[k])
        + "."
    )
    return fig, alt


def _phases(ax: Any, points: tuple[Any, ...], top: float) -> None:
    start = 0
    for index in range(1, len(points) + 1):
        ends = index == len(points) or points[index].phase != points[start].phase
        if not ends:
            continue
        name = _PHASES.get(points[start].phase)
        if start:
            ax.axvline(start, color=figures.INK, linewidth=0.8, linestyle=":")
        if name and index - start > len(points) * 0.04:
            ax.text((start + index) / 2, top * 1.19, name, ha="center", va="top", fontsize=10)
        start = index


def _moment(point: Any) -> str:
    if point.phase not in ("forward", "backward"):
        return "the optimizer's step"
    place = "the loss and the output head" if point.where == "head" else point.where
    return f"the {point.phase} pass, at {place}"


def _short(module: str) -> str:
    return module.removeprefix("model.").removeprefix("transformer.") or "loss"


def _thinned(totals: list[int], peak: int) -> list[int]:
    """Keep the highest point of each run of points, and the peak itself."""
    width = max(1, len(totals) // _MOST_POINTS)
    kept = {
        max(range(start, min(start + width, len(totals))), key=totals.__getitem__)
        for start in range(0, len(totals), width)
    }
    return sorted(kept | {peak, 0, len(totals) - 1})
