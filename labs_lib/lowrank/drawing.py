"""Pictures of where LoRA, and other PEFT methods, add their numbers."""

from __future__ import annotations

from typing import Any

from labs_lib import figures
from labs_lib.colors import tint
from labs_lib.lowrank.knobs import check_rank

# The block's boxes as (x, y, words), and the wires between them.
_BLOCK = (
    (5, 22, "embed"), (24, 36, "W q"), (24, 22, "W k"), (24, 8, "W v"), (45, 22, "attention"),
    (58, 22, "W o"), (79, 22, "W gate, up"), (95, 22, "W down"),
)  # fmt: skip
_WIRES = (
    ((5, 22), (113, 22)),
    ((13, 22), (17, 36), (34, 36), (45, 22)),
    ((13, 22), (17, 8), (34, 8), (45, 22)),
    ((17, 36), (17, 46), (31, 46), (31, 36)),
    ((17, 8), (17, -2), (31, -2), (31, 8)),
    ((5, 36), (11, 36), (11, 22)),
    ((45, 38), (45, 22)),
)  # fmt: skip
_METHODS = {
    "LoRA": ((24, 46, "B·A"), (24, -2, "B·A")),
    "adapters": ((67, 22, "adapter"), (107, 22, "adapter")),
    "IA³": ((34, 22, "×"), (34, 8, "×"), (87.6, 22, "×")),
    "prompt tuning": ((5, 36, "prompt"),),
    "prefix tuning": ((45, 38, "prefix"),),
}
_CENTERED = {"ha": "center", "va": "center"}
# Frozen and trained, as everywhere in the course.
_PARTS = figures.MEMORY_COLORS["weights"], figures.MEMORY_COLORS["adapter"]
_METHODS_COLORS = (_PARTS[1], *(figures.PALETTE[at] for at in (0, 2, 3, 5)))


def draw_layer(d_in: int, d_out: int, rank: int) -> figures.Picture:
    """Return a picture of one LoRA layer: x goes through W and, in parallel, through A and B.

    Shapes: W (d_out, d_in), `lora_A` (rank, d_in), `lora_B` (d_out, rank). A shape's height at
    each side is in proportion to the numbers that pass there. Raises `LabError` for a rank outside
    1 … min(d_in, d_out). Source: LoRA, arXiv 2106.09685, figure 1 and section 4.1.
    """
    check_rank(rank, d_out, d_in)
    title = f"x goes through the frozen W and, in parallel, through A and B of rank {rank}"
    fig, axes = _canvas(title, (0, 110), (-2, 56), height_inches=3.8)
    tall = 19 / max(d_in, d_out)
    narrow = max(tall * rank, 1.6)
    base, adapter = ((tint(color), color) for color in _PARTS)
    for ys in (43, 14):
        axes.plot(
            [9, 16, 16, 92, 92], [29, 29, ys, ys, 29], color=figures.INK, linewidth=1.4, zorder=0
        )
    axes.plot([92, 103], [29, 29], color=figures.INK, linewidth=1.4, zorder=0)
    _between(axes, (28, 64), 43, (tall * d_in, tall * d_out), base)
    _between(axes, (24, 43), 14, (tall * d_in, narrow), adapter)
    _between(axes, (53, 72), 14, (narrow, tall * d_out), adapter)
    axes.text(46, 43, f"W  ({d_out} × {d_in})\nfrozen", **_CENTERED)
    captions = (f"A  ({rank} × {d_in})\ntrained", f"B  ({d_out} × {rank})\ntrained, starts at 0")
    for x, caption in zip((33.5, 62.5), captions, strict=True):
        axes.text(x, 1, caption, size=10, **_CENTERED)
    axes.text(48, 17.5, f"{rank}", size=10, **_CENTERED)
    for x, y, words in ((6, 29, "x"), (82, 14, "× α/r"), (92, 29, "+"), (105, 29, "y")):
        box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": figures.INK}
        axes.text(x, y, words, weight="bold", bbox=box, **_CENTERED)
    alt = (
        f"{title}. On one route W ({d_out} × {d_in}, frozen); on the other A ({rank} × {d_in}), "
        f"then B ({d_out} × {rank}, starts at 0), then × alpha/r. The two results are added to y."
    )
    return figures.show(fig, alt=alt)


def draw_methods() -> figures.Picture:
    """Return a Transformer block with the places where five PEFT methods add trained numbers.

    Sources: LoRA, arXiv 2106.09685; adapters, 1902.00751; IA³, 2205.05638; prompt tuning,
    2104.08691; prefix tuning, 2101.00190.
    """
    title = f"{len(_METHODS)} methods, each at a place of its own; every W stays frozen"
    fig, axes = _canvas(title, (0, 113), (-8, 52), height_inches=4.2)
    for wire in _WIRES:
        axes.plot(*zip(*wire, strict=True), color=figures.INK, linewidth=1, zorder=0)
    for x, y, words in _BLOCK:
        box = {"boxstyle": "round,pad=0.5", "fc": tint(_PARTS[0]), "ec": _PARTS[0]}
        axes.text(x, y, words, size=9, bbox=box, **_CENTERED)
    for color, (method, places) in zip(_METHODS_COLORS, _METHODS.items(), strict=True):
        axes.plot([], [], "s", markersize=9, markerfacecolor="white", markeredgecolor=color,
                  markeredgewidth=2.5, label=method)  # fmt: skip
        for x, y, words in places:
            box = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": color, "lw": 2.5}
            axes.text(x, y, words, size=9, weight="bold", bbox=box, **_CENTERED)
    axes.legend(loc="upper right", ncols=2, fontsize=9)
    alt = (
        f"A Transformer block from embedding to MLP. {title}. LoRA: B·A in parallel with W q and "
        "W v. Adapters: in series after W o and W down. IA³: a factor on keys, values and the "
        "input of W down. Prompt tuning: vectors before the text. Prefix tuning: keys and values "
        "in the attention."
    )
    return figures.show(fig, alt=alt)


def _canvas(
    title: str, x: tuple[float, float], y: tuple[float, float], height_inches: float
) -> tuple[Any, Any]:
    fig, axes = figures.new_figure(title, "", "", height_inches=height_inches)
    axes.axis("off")
    axes.set(xlim=x, ylim=y)
    return fig, axes


def _between(
    axes: Any,
    x: tuple[float, float],
    middle: float,
    heights: tuple[float, float],
    colors: tuple[str, str],
) -> None:
    """Draw a shape between two x, as high at each side as `heights` says."""
    (left, right), (start, end) = x, heights
    corners = [
        (left, middle - start / 2),
        (left, middle + start / 2),
        (right, middle + end / 2),
        (right, middle - end / 2),
    ]
    axes.fill(*zip(*corners, strict=True), facecolor=colors[0], edgecolor=colors[1], linewidth=2.5)
