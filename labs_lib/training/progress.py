"""What a person sees while training runs: a bar in a terminal, a bar and a curve in a notebook."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, Protocol

from labs_lib.colors import BLUE, THEME_INK


class Progress(Protocol):
    """What training tells while it runs."""

    def stage(self, text: str) -> None:
        """Say what is being done now."""
        ...

    def step(self, done: int, total: int, loss: float) -> None:
        """Say that an optimizer step ended with this training loss."""
        ...

    def close(self) -> None:
        """Say that the run ended."""
        ...


class Silent:
    """Show nothing."""

    def stage(self, text: str) -> None:
        """Ignore the stage."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Ignore the step."""

    def close(self) -> None:
        """Ignore the end."""


class TerminalProgress:
    """One bar on stderr, so that stdout stays for results; plain lines where it is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def stage(self, text: str) -> None:
        """Print what is being done now."""
        self._end_bar()
        print(f"· {text}", file=sys.stderr, flush=True)

    def step(self, done: int, total: int, loss: float) -> None:
        """Advance the bar and show the loss."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=done - 1,
                unit="step",
                file=sys.stderr,
                ncols=78,
                mininterval=0.2,
            )
        self._bar.update(done - self._bar.n)
        self._bar.set_postfix_str(f"loss {loss:.3f}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class NotebookProgress:
    """An ipywidgets line, bar and live loss curve; its `text/plain` never changes."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._losses: list[float] = []
        self._started = time.perf_counter()
        self._line = ipywidgets.HTML()
        self._bar = ipywidgets.IntProgress(
            value=0, max=1, description="training", layout=ipywidgets.Layout(width="98%")
        )
        self._curve = ipywidgets.HTML()
        box = _stable_box(ipywidgets)([self._line, self._bar, self._curve])
        box.add_class("labs-training")
        display(box)

    def stage(self, text: str) -> None:
        """Show what is being done now."""
        self._line.value = f"<span>{escape(text)}</span>"

    def step(self, done: int, total: int, loss: float) -> None:
        """Advance the bar and draw the curve."""
        self._losses.append(loss)
        self._bar.max, self._bar.value = total, done
        seconds = time.perf_counter() - self._started
        self._line.value = (
            f"<span>step {done} of {total}, training loss {loss:.3f}, {seconds:.0f} s</span>"
        )
        self._curve.value = loss_curve_svg(self._losses, total)

    def close(self) -> None:
        """Say that the run is over."""
        self._bar.bar_style = "success"
        self._bar.description = "trained"


def _stable_box(ipywidgets: Any) -> Any:
    class TrainingBox(ipywidgets.VBox):
        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            if isinstance(bundle, dict):
                bundle["text/plain"] = "Training progress"
            return bundle

    return TrainingBox


def loss_curve_svg(losses: list[float], total: int, width: int = 640, height: int = 150) -> str:
    """Draw the training loss over steps as an SVG of `width × height` pixels.

    The colors are the notebook theme's, so that it reads on light and dark ground alike.
    """
    left, bottom, top = 44, 26, 18
    highest = max(max(losses), 1e-9)
    x_scale = (width - left - 10) / max(total - 1, 1)
    y_scale = (height - bottom - top) / highest
    points = " ".join(
        f"{left + index * x_scale:.1f},{height - bottom - loss * y_scale:.1f}"
        for index, loss in enumerate(losses)
    )
    ink = THEME_INK
    axis_y = height - bottom
    labels = [
        (left - 6, top + 4, "end", f"{highest:.1f}"),
        (left - 6, axis_y + 4, "end", "0"),
        (left, height - 8, "middle", "1"),
        (width - 12, height - 8, "end", f"step {total}"),
        (left, 11, "start", "training loss (nats per token)"),
    ]
    texts = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="{ink}">{text}</text>'
        for x, y, anchor, text in labels
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" style="max-width:{width}px" role="img" '
        f'aria-label="training loss, now {losses[-1]:.3f}">'
        f'<path d="M{left} {top}V{axis_y}H{width - 10}" stroke="{ink}" fill="none"/>'
        f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="2"/>{texts}</svg>'
    )


def in_notebook() -> bool:
    """Return whether a Jupyter kernel is showing this process's output."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    if shell is None:
        return False
    from ipykernel.zmqshell import ZMQInteractiveShell

    return isinstance(shell, ZMQInteractiveShell)


def default_progress() -> Progress:
    """Return the notebook's view in a notebook, the terminal's elsewhere."""
    return NotebookProgress() if in_notebook() else TerminalProgress()
