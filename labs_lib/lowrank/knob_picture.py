"""The picture of one adapted layer with the place at which each knob of LoRA acts."""

from __future__ import annotations

from labs_lib import figures
from labs_lib.colors import tint

_PLACES = {
    "x": (0, 0.6), "W": (0.5, 0.9), "drop": (0.17, 0.3), "A": (0.38, 0.3), "B": (0.56, 0.3),
    "α/r": (0.76, 0.3), "+": (0.97, 0.6),
}  # fmt: skip
_ARROWS = ("xW", "W+", "xd", "dA", "AB", "Bα", "α+")
_NOTES = {
    (0.5, 0.72): "frozen; its bias may train",
    (0.17, 0.1): "dropout",
    (0.47, 0.1): "rank: width between",
    (0.76, 0.1): "alpha",
    (0.47, -0.05): "targets: which linear maps have this lower path",
}


def draw_knobs() -> figures.Picture:
    """Draw x going through the frozen W and, in parallel, through dropout, A, B and alpha/r."""
    title = "Five knobs act in the layer; learning rate and batch size act in the training step"
    fig, axes = figures.new_figure(title, "", "")
    axes.set_axis_off()
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": figures.INK}
    base, adapter = figures.MEMORY_COLORS["weights"], figures.MEMORY_COLORS["adapter"]
    looks = {"W": base, "A": adapter, "B": adapter}
    drawn = {
        name[0]: axes.text(
            *place, name, ha="center", va="center",
            bbox=box | {"facecolor": tint(looks[name]), "edgecolor": looks[name]}
            if name in looks else box,
        )
        for name, place in _PLACES.items()
    }  # fmt: skip
    for start, end in _ARROWS:
        one, two = drawn[start], drawn[end]
        style = {
            "arrowstyle": "->", "color": figures.PALETTE[7], "shrinkA": 12, "shrinkB": 12,
            "patchA": one.get_bbox_patch(), "patchB": two.get_bbox_patch(),
        }  # fmt: skip
        axes.annotate("", two.get_position(), one.get_position(), arrowprops=style)
    for place, words in _NOTES.items():
        axes.text(*place, words, ha="center", color=figures.INK)
    axes.set_ylim(-0.08, 1)
    return figures.show(
        fig,
        alt="x goes through the frozen W and, in parallel, through dropout, A, B and alpha/r; "
        "the two results are added. Rank is the width between A and B.",
    )
