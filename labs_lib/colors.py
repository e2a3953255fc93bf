"""The course's colors: one meaning, one color, in figures, instruments, cards and messages.

After Okabe and Ito, "Color Universal Design" (2008): told apart under every common color
blindness, the light ones darkened until they keep a contrast of 3:1 on white.
Black is left to text.  On a page that has a light and a dark theme, ink and lines are the
theme's own variables, each with a color for where there is no theme.
"""

from __future__ import annotations

import re

# The most distinct hues first.
PALETTE: tuple[str, ...] = (
    "#0072B2",  # blue
    "#C98500",  # amber
    "#009E73",  # green
    "#B5679B",  # purple
    "#3B93CB",  # sky
    "#D55E00",  # vermilion
    "#8F7F00",  # olive
    "#7F7F7F",  # grey
)

# On a printed page and in a figure, whose ground is white under either theme.
INK = "#1F2328"
PAPER = "#FFFFFF"
GRID = "#D8DEE4"

# Those of the palette that keep a contrast of 3:1 on white and on JupyterLab's dark grey, two of
# them shifted until they do.
BLUE, ORANGE, GREEN, PURPLE = "#2b83ba", "#d55e00", "#009e73", "#b5679b"
RED, GREY, AMBER = "#c62828", "#7f7f7f", "#c98500"

# One color for one part of a training step, in every figure, instrument and in the film: the
# frozen base is grey.  Each keeps 3:1 on white and on JupyterLab's dark ground.
MEMORY_COLORS: dict[str, str] = {
    "weights": GREY,
    "adapter": AMBER,
    "gradients": RED,
    "optimizer": PURPLE,
    "activations": GREEN,
    "temporary": PALETTE[0],
}

# One color for one method, wherever methods are compared; a model without an adapter is grey.
METHOD_COLORS: dict[str, str] = {"full": PALETTE[0], "lora": AMBER, "qlora": GREEN}

THEME_INK = "var(--jp-ui-font-color1, #212121)"
THEME_FAINT = "var(--jp-ui-font-color2, #616161)"
THEME_LINE = "var(--jp-border-color1, #bdbdbd)"
THEME_PANEL = "var(--jp-layout-color2, #eeeeee)"
THEME_PAPER = "var(--jp-layout-color0, #fff)"
THEME_WARNING = f"var(--jp-error-color1, {RED})"

# An instrument in the page has each as the CSS variable `--lab-NAME`, here as (light, dark).  The
# roles come first, and mean the same in every instrument: what is frozen, what is trained, what a
# step keeps.  Each keeps a contrast of 3:1 on its theme's paper.  `negative` and `positive` are the
# ends of a scale through `zero`; ink on any mix of them keeps 4.5:1.
PAGE_COLORS: dict[str, tuple[str, str]] = {
    "base": (GREY, "#8b949e"),
    "adapter": ("#b37700", PALETTE[1]),
    "gradients": (PALETTE[5], "#ea7a36"),
    "states": (PURPLE, PALETTE[3]),
    "activations": (PALETTE[2], "#20b388"),
    "input": (PALETTE[0], PALETTE[4]),
    "warning": (RED, "#ff7b72"),
    "negative": ("#7fb8dc", "#155a94"),
    "zero": (PAPER, "#23282e"),
    "positive": ("#f0b54a", "#8f5400"),
    "focus": (PALETTE[0], PALETTE[4]),
}

# On a page of ours that no theme colors, here as (light, dark, print): the class's report.
SHEET_COLORS: dict[str, tuple[str, str, str]] = {
    "ink": (INK, "#e6edf3", "#000"),
    "paper": (PAPER, "#0d1117", "#fff"),
    "faint": ("#57606a", "#9aa4af", "#444"),
    "line": (GRID, "#30363d", "#bbb"),
    "panel": ("#f6f8fa", "#161b22", "#fff"),
    "blue": (PALETTE[0], PALETTE[4], BLUE),
    "mark": ("#b34700", "#ff9a5c", ORANGE),
}

# Those that a theme of JupyterLab, or of a page that takes over its names, sets itself.
PAGE_GROUNDS: dict[str, tuple[str, str, str]] = {
    "ink": ("--jp-ui-font-color1", INK, "#e6e9ec"),
    "faint": ("--jp-ui-font-color2", "#57606a", "#a5adb6"),
    "line": ("--jp-border-color1", "#c5ccd3", "#4a525b"),
    "paper": ("--jp-layout-color0", PAPER, "#16191d"),
    "panel": ("--jp-layout-color1", "#f5f7f9", "#1e2329"),
}


def of_method(label: str, otherwise: str = INK) -> str:
    """Return the color of the method that a label names: "full", "lora" or "qlora", in any case.

    "QLoRA, checkpointing" and "llama-2-7b, qlora" are QLoRA's; a label that names none of them
    gets `otherwise`.
    """
    words = re.findall(r"[a-z]+", label.lower())
    return next((METHOD_COLORS[word] for word in words if word in METHOD_COLORS), otherwise)


def tint(color: str, strength: float = 0.45) -> str:
    """Return a color mixed with white by a share, 0 to 1, so that ink on it is read well."""
    parts = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)
