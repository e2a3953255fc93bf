"""The picture of a LoRA layer with the place at which each later method changes it."""

from __future__ import annotations

from labs_lib import figures
from labs_lib.colors import tint

# A box of the layer → its place; an arrow joins two boxes by their first letters.
_BOXES = {
    "x": (0.03, 0.62), "W": (0.42, 0.84), "A": (0.25, 0.42), "B": (0.47, 0.42),
    "α/r": (0.68, 0.42), "+": (0.84, 0.62), "y": (0.97, 0.62),
}  # fmt: skip
_ARROWS = ("xW", "W+", "xA", "AB", "Bα", "α+", "+y")
# What is changed → where its words stand, its methods, and the color of the mark.
LATER = {
    "start": (0.25, 0.24, "PiSSA, OLoRA, EVA", 0),
    "update rule": (0.5, 0.06, "LoRA+, LoRA-FA", 3),
    "scaling": (0.72, 0.24, "rsLoRA", 2),
    "shape": (0.78, 0.9, "DoRA, VeRA, MiSS,\nAdaLoRA, OFT", 5),
    "no product": (0.1, 0.95, "IA³, prompts,\nlayer norms", 4),
}
"""Which methods change what: the four places of LoRA, and what has no B·A at all."""


def draw_places() -> figures.Picture:
    """Draw a LoRA layer, and beside each of its parts the later methods that change it."""
    title = "Later methods change LoRA's start, scaling, update rule or shape"
    fig, axes = figures.new_figure(title, "", "", height_inches=4.2)
    axes.set_axis_off()
    base, adapter = figures.MEMORY_COLORS["weights"], figures.MEMORY_COLORS["adapter"]
    looks = {"W": base, "A": adapter, "B": adapter}
    drawn = {}
    for name, place in _BOXES.items():
        color = looks.get(name)
        box = {
            "boxstyle": "round,pad=0.5",
            "facecolor": tint(color) if color else figures.PAPER,
            "edgecolor": color or figures.INK,
        }
        drawn[name[0]] = axes.text(*place, name, ha="center", va="center", bbox=box)
    for start, end in _ARROWS:
        one, two = drawn[start], drawn[end]
        style = {
            "arrowstyle": "->", "color": figures.PALETTE[7], "shrinkA": 12, "shrinkB": 12,
            "patchA": one.get_bbox_patch(), "patchB": two.get_bbox_patch(),
        }  # fmt: skip
        axes.annotate("", two.get_position(), one.get_position(), arrowprops=style)
    for what, (x, y, methods, color) in LATER.items():
        mark = {"boxstyle": "round,pad=0.4", "facecolor": "white", "lw": 2}
        axes.text(
            x, y, f"{what}:\n{methods}", ha="center", va="center", fontsize=10,
            bbox=mark | {"edgecolor": figures.PALETTE[color]},
        )  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.05, 1.08))
    words = "; ".join(
        f"{what}: {methods.replace(chr(10), ' ')}" for what, (_, _, methods, _) in LATER.items()
    )
    return figures.show(fig, alt=f"x goes through W and, in parallel, A, B and α/r. {words}.")
