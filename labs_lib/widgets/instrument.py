"""What every instrument shares: state in traitlets, a pure function, one picture, one line.

A subclass names its state and four small functions; this file draws the rest, shows what is
wrong with a value in place of a traceback, and leaves a still behind where widgets don't run.
Colors are the theme's own (`--jp-…`) with fall-backs, so that a picture reads in JupyterLab's
light and dark themes and stands alone as a file.
"""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import traitlets

from labs_lib.colors import THEME_FAINT, THEME_INK, THEME_PAPER, THEME_WARNING
from labs_lib.errors import LabError, choice_error

if TYPE_CHECKING:
    import numpy

FONT = "var(--jp-ui-font-family, system-ui, sans-serif)"

Rows = Sequence[tuple[str, str]]


class Instrument(ipywidgets.VBox):
    """Controls, a line of trouble, a table of figures and a picture, kept in step with the state.

    A subclass gives

    - `heading` and `css_class`, and its state as traits named in `state`;
    - `controls()`: the widgets a student moves, each tied to a trait by `bind`;
    - `compute()`: calls a pure function on the state, returns its figures; raises `LabError`;
    - `rows(figures)`, `picture(figures)` (one `<svg>`, made by `svg`) and `line(figures)`.

    A value that `compute` refuses is explained above the last good picture, which fades; the
    controls go on working. `figures` is None until the first good state.
    """

    heading: ClassVar[str] = ""
    css_class: ClassVar[str] = ""
    state: ClassVar[tuple[str, ...]] = ()

    figures: Any = traitlets.Any(None, help="what the pure function returned last")
    trouble: Any = traitlets.Unicode("", help="why the present state shows nothing new, or empty")

    def __init__(self, **state: Any):
        """Take the state by trait name; an unknown name is refused in one line."""
        unknown = [name for name in state if name not in self.state]
        if unknown:
            raise choice_error(type(self).__name__, unknown[0], self.state)
        self._held = True
        self._drawn = ("", "")
        super().__init__()
        for name, value in state.items():
            setattr(self, name, value)
        title = ipywidgets.HTML(f"<b style='font-size:1.1em'>{html.escape(self.heading)}</b>")
        self._trouble = ipywidgets.HTML()
        self._table = ipywidgets.HTML()
        self._picture = ipywidgets.HTML()
        self.children = (title, *self.controls(), self._trouble, self._table, self._picture)
        self.add_class("lab-instrument")
        for part, name in (
            (self._trouble, "lab-trouble"),
            (self._table, "lab-figures"),
            (self._picture, "lab-picture"),
        ):
            part.add_class(name)
        if self.css_class:
            self.add_class(self.css_class)
        self._held = False
        self.refresh()
        self.observe(lambda _: self.refresh(), names=list(self.state))

    def controls(self) -> Sequence[ipywidgets.Widget]:
        """Return the widgets that a student moves, in the order of the Tab key."""
        raise NotImplementedError

    def compute(self) -> Any:
        """Return the figures of the present state; raise `LabError` if it has none."""
        raise NotImplementedError

    def rows(self, figures: Any) -> Rows:
        """Return the (label, value) rows of the table."""
        raise NotImplementedError

    def notes(self, _figures: Any, /) -> Sequence[str]:
        """Return sentences to show, numbered, under the table; none unless a subclass has them."""
        return ()

    def picture(self, figures: Any) -> str:
        """Return one `<svg>` element."""
        raise NotImplementedError

    def line(self, figures: Any) -> str:
        """Return the figures in one line of text, the same on every machine."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """What the instrument shows, in one line: the notebook's stored `text/plain`."""
        shown = self.trouble or (self.line(self.figures) if self.figures is not None else "")
        return " ".join(f"{type(self).__name__}: {shown}".split())

    def set(self, **state: Any) -> None:
        """Change several traits and draw once."""
        with self._drawing_once():
            for name, value in state.items():
                setattr(self, name, value)

    def bind(self, trait: str, control: Any) -> Any:
        """Tie `control.value` to the trait both ways, and return the control.

        A value that the control cannot show (beyond a slider's end, say) stays in the trait, to
        be explained; the control would otherwise clamp it in silence.
        """

        def to_control(value: Any) -> None:
            if _can_show(control, value):
                control.value = value
            elif hasattr(control, "options") and control.traits()["index"].allow_none:
                control.value = None  # an empty choice, so that any of them can be chosen next

        def to_trait(value: Any) -> None:
            if value is not None:
                setattr(self, trait, value)

        to_control(getattr(self, trait))
        self.observe(lambda change: to_control(change["new"]), names=trait)
        control.observe(lambda change: to_trait(change["new"]), names="value")
        control.style.description_width = "initial"
        if not control.tooltip:
            control.tooltip = control.description
        control.add_class(f"lab-{trait.replace('_', '-')}")
        return control

    def refresh(self) -> None:
        """Compute and draw the present state, or say what is wrong with it."""
        if self._held:
            return
        try:
            figures = self.compute()
            table, picture = self._figures_html(figures), self.picture(figures)
        except LabError as error:
            self._explain(str(error))
        except Exception as error:  # the student must see it here: Jupyter hides it in a log
            self._explain(f"a fault in this instrument: {type(error).__name__}: {error}")
        else:
            self.figures = figures
            self._drawn = (table, picture)
            self._explain("")

    def still(self) -> str:
        """Return HTML that shows the same without widgets, scripts or styles (GitHub)."""
        parts = [f"<b>{html.escape(self.heading)}</b>"]
        if self.trouble:
            parts.append(f"<p>{html.escape(self.trouble)}</p>")
        if self.figures is not None:
            data = base64.b64encode(self.picture(self.figures).encode()).decode()
            text = html.escape(self.line(self.figures), quote=True)
            parts.append(self._figures_html(self.figures))
            parts.append(f'<img alt="{text}" src="data:image/svg+xml;base64,{data}">')
        return "\n".join(parts)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self.text, "text/html": self.still()}

    def _figures_html(self, figures: Any) -> str:
        return table_html(self.rows(figures)) + notes_html(self.notes(figures))

    def _explain(self, trouble: str) -> None:
        self.trouble = trouble
        look = f"color:{THEME_WARNING};line-height:1.4"
        line = f'<div role="alert" style="{look}">{html.escape(trouble)}</div>'
        self._trouble.value = line if trouble else ""
        for part, drawn in zip((self._table, self._picture), self._drawn, strict=True):
            part.value = f'<div style="opacity:0.35">{drawn}</div>' if trouble else drawn

    @contextmanager
    def _drawing_once(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.refresh()


def _can_show(control: Any, value: Any) -> bool:
    if hasattr(control, "options") and hasattr(control, "index"):
        options = [o[1] if isinstance(o, tuple) else o for o in control.options]
        return value in options
    low, high = getattr(control, "min", None), getattr(control, "max", None)
    return (low is None or value >= low) and (high is None or value <= high)


def table_html(rows: Rows) -> str:
    """Return the rows as a small table: labels at the left, values at the right."""
    cells = "".join(
        f'<tr><td style="padding:1px 18px 1px 0;color:{THEME_FAINT}">{html.escape(label)}</td>'
        f'<td style="text-align:right;font-variant-numeric:tabular-nums;color:{THEME_INK}">'
        f"<b>{html.escape(value)}</b></td></tr>"
        for label, value in rows
    )
    return f'<table style="border-collapse:collapse;line-height:1.5">{cells}</table>'


def notes_html(notes: Sequence[str]) -> str:
    """Return sentences as a numbered list, or nothing for none."""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    style = f"line-height:1.4;margin:6px 0;padding-left:22px;color:{THEME_INK}"
    return f'<ol style="{style}">{items}</ol>' if notes else ""


def svg(width: int, height: int, body: str, label: str) -> str:
    """Return an `<svg>` of `width` × `height` pixels that a screen reader names `label`.

    It shrinks with the notebook; the white ground shows only where it stands alone.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{html.escape(label)}" '
        f'style="max-width:100%;height:auto;background:{THEME_PAPER};'
        f'font-family:{FONT};font-size:12px">{body}</svg>'
    )


def label(
    x: float, y: float, words: str, *, anchor: str = "start", fill: str = THEME_INK, style: str = ""
) -> str:
    """Return a line of text in an SVG; `anchor` is start, middle or end."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" style="fill:{fill};{style}">'
        f"{html.escape(words)}</text>"
    )


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    edge: str = "none",
    radius: int = 0,
) -> str:
    """Return a rectangle in an SVG, with an edge line if `edge` names a color."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(0.0, width):g}" height="{max(0.0, height):g}" '
        f'rx="{radius}" style="fill:{fill};stroke:{edge}"/>'
    )


def image(x: float, y: float, width: float, height: float, png: bytes) -> str:
    """Return a PNG inside an SVG, its pixels kept square-edged."""
    data = base64.b64encode(png).decode()
    return (
        f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def png_bytes(pixels: numpy.ndarray, palette: bytes = b"") -> bytes:
    """Encode uint8 `pixels` of shape (height, width) grey or (height, width, 3) RGB as a PNG.

    With a `palette` of 3 bytes a color, (height, width) pixels are its indices. Standard library
    only: a picture of 256 × 256 takes about a millisecond.
    """
    height, width = pixels.shape[:2]
    color_type = 3 if palette else 2 if pixels.ndim == 3 else 0
    flat = pixels.reshape(height, -1)
    lines = b"".join(b"\x00" + row.tobytes() for row in flat)
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + (_chunk(b"PLTE", palette) if palette else b"")
        + _chunk(b"IDAT", zlib.compress(lines, 1))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def human_bytes(count: float) -> str:
    """Return a number of bytes in GiB, MiB or KiB (powers of 1024), to three figures."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            digits = 0 if count >= 100 * size else 1 if count >= 10 * size else 2
            return f"{count / size:,.{digits}f} {unit}"
    return f"{count:,.0f} bytes"
