"""The course's colors: one meaning, one color, in figures, instruments, cards and messages.

Okabe and Ito, "Color Universal Design" (2008): told apart under every common color blindness.
Black is left to text.  On a page that has a light and a dark theme, ink and lines are the
theme's own variables, each with a color for where there is no theme.
"""

from __future__ import annotations

# The most distinct hues first.
PALETTE: tuple[str, ...] = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#CC79A7",  # pink
    "#56B4E9",  # sky
    "#D55E00",  # vermilion
    "#F0E442",  # yellow
    "#7F7F7F",  # grey
)

# One color for one kind of bytes, in every figure and instrument of the course.
MEMORY_COLORS: dict[str, str] = {
    "weights": PALETTE[0],
    "adapter": PALETTE[1],
    "gradients": PALETTE[5],
    "optimizer": PALETTE[3],
    "activations": PALETTE[2],
    "temporary": PALETTE[4],
}

# On a printed page and in a figure, whose ground is white under either theme.
INK = "#1F2328"
PAPER = "#FFFFFF"
GRID = "#D8DEE4"

# Those of the palette that keep a contrast of 3:1 on white and on JupyterLab's dark grey, two of
# them shifted until they do.
BLUE, ORANGE, GREEN, PURPLE = "#2b83ba", "#d55e00", "#009e73", "#b5679b"
RED, GREY = "#c62828", "#7f7f7f"

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

# Those that a theme of JupyterLab, or of a page that takes over its names, sets itself.
PAGE_GROUNDS: dict[str, tuple[str, str, str]] = {
    "ink": ("--jp-ui-font-color1", INK, "#e6e9ec"),
    "faint": ("--jp-ui-font-color2", "#57606a", "#a5adb6"),
    "line": ("--jp-border-color1", "#c5ccd3", "#4a525b"),
    "paper": ("--jp-layout-color0", PAPER, "#16191d"),
    "panel": ("--jp-layout-color1", "#f5f7f9", "#1e2329"),
}
