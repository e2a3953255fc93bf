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

THEME_INK = "var(--jp-ui-font-color1, #212121)"
THEME_FAINT = "var(--jp-ui-font-color2, #616161)"
THEME_LINE = "var(--jp-border-color1, #bdbdbd)"
THEME_PANEL = "var(--jp-layout-color2, #eeeeee)"
THEME_PAPER = "var(--jp-layout-color0, #fff)"
THEME_WARNING = f"var(--jp-error-color1, {RED})"
