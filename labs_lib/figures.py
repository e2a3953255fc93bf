"""The house style of plots: color-blind-safe, readable at notebook width, on any theme.

A title says the finding, axes carry units, and every picture has a text that stands in for
it: `show(fig, alt="…")`.
"""

from __future__ import annotations

import base64
import html
import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What draws a figure takes its colors from here too.
from labs_lib.colors import GRID as GRID
from labs_lib.colors import INK as INK
from labs_lib.colors import MEMORY_COLORS as MEMORY_COLORS
from labs_lib.colors import METHOD_COLORS as METHOD_COLORS
from labs_lib.colors import PALETTE as PALETTE
from labs_lib.colors import PAPER as PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A notebook's output area is about 9 inches wide at matplotlib's 100 dots an inch.
WIDTH_INCHES = 8.5
DOTS_PER_INCH = 100
_TITLE_MARGIN = 4  # pixels

_STYLE: dict[str, Any] = {
    "figure.figsize": (WIDTH_INCHES, 3.8),
    "figure.dpi": DOTS_PER_INCH,
    # A solid page: a transparent one is unreadable on JupyterLab's dark theme.
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "savefig.dpi": DOTS_PER_INCH,
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2.2,
    "lines.markersize": 6,
    "legend.frameon": False,
}


def new_figure(
    title: str,
    x_label: str,
    y_label: str,
    *,
    columns: int = 1,
    height_inches: float = 3.8,
    width_inches: float = WIDTH_INCHES,
) -> tuple[Figure, Any]:
    """Return an empty figure in the house style, and its axes (a list if `columns` > 1).

    `title` says the finding ("Memory grows linearly with length"); the labels carry units
    ("peak (GiB)"). The figure is not registered with pyplot, so nothing needs closing and
    nothing is drawn twice in a notebook.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    use_house_style()
    fig = Figure(figsize=(width_inches, height_inches))
    FigureCanvasAgg(fig)
    axes = fig.subplots(1, columns)
    every: list[Axes] = [axes] if columns == 1 else list(axes)
    for ax in every:
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
    if columns == 1:
        every[0].set_title(title)
    else:
        fig.suptitle(title, x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    return fig, axes


def use_house_style() -> None:
    """Set matplotlib's defaults to the house style; `new_figure` does it by itself."""
    import matplotlib as mpl
    from cycler import cycler

    style: Any = {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    mpl.rcParams.update(style)


class Picture:
    """A finished plot as a notebook shows it: a PNG with alternative text.

    The plain text of the output is the alternative text, which is stable from run to run.
    """

    def __init__(self, png: bytes, alt: str):
        self.png = png
        self.alt = alt

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        code = base64.b64encode(self.png).decode()
        # HTML is what JupyterLab and GitHub draw first, and the only one to carry alt text.
        return {"text/html": _img(code, self.alt), "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


def show(fig: Figure, *, alt: str) -> Picture:
    """Return `fig` as a picture that a cell displays: PNG bytes and `alt`, its words.

    `alt` says what a person who cannot see the plot should know: the kind of plot, its axes,
    and the finding with numbers.
    """
    return Picture(png_bytes(fig), alt)


def png_bytes(fig: Figure) -> bytes:
    """Return the figure drawn as PNG on a solid page, with titles that fit."""
    fit_titles(fig)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER, bbox_inches="tight")
    return buffer.getvalue()


def fit_titles(fig: Figure) -> None:
    """Break every title that is wider than its place: its panel, or the figure if it has one panel.

    A title that sticks out would make the whole picture smaller on the page.
    """
    fig.draw_without_rendering()  # the layout says where the panels are
    whole: Any = fig  # matplotlib has readers of a title's words, and none of the title itself
    panels: list[Any] = whole.axes
    right_of_all = fig.bbox.x1
    shown: list[tuple[Any, float]] = [
        (ax._left_title, right_of_all if len(panels) == 1 else ax.bbox.x1) for ax in panels
    ]
    if whole._suptitle is not None:
        shown.append((whole._suptitle, right_of_all))
    for title, right in shown:
        box = title.get_window_extent()
        room = right - box.x0 - _TITLE_MARGIN
        if not title.get_text() or box.width <= room:
            continue
        lines = title.get_text().split("\n")
        letters = max(int(max(map(len, lines)) * room / box.width), 8)
        title.set_text("\n".join(_broken(line, letters) for line in lines))


def _broken(line: str, letters: int) -> str:
    """Return a line as few lines of at most so many letters, all about as long."""
    fewest = len(textwrap.wrap(line, letters))
    width = next(w for w in range(1, letters + 1) if len(textwrap.wrap(line, w)) <= fewest)
    return textwrap.fill(line, width)


def save(fig: Figure, path: Path) -> None:
    """Write the figure as PNG, aside first."""
    from labs_lib.files import written_aside

    with written_aside(path) as aside:
        aside.write_bytes(png_bytes(fig))


def _img(code: str, alt: str) -> str:
    return (
        f'<img alt="{html.escape(alt, quote=True)}" style="max-width:100%;background:{PAPER}" '
        f'src="data:image/png;base64,{code}">'
    )
