"""The memory planner: what fine-tuning costs, part by part, beside a card's memory.

The closed form answers while a control moves; for a family that it does not know, polynomials that
are fitted to traces when the model or the method is first chosen. When a control has rested for a
moment the real code is traced in a thread and its figure arrives beside it. `ByteBar` is the same
with fewer controls.
"""

from __future__ import annotations

import asyncio
import html
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ipywidgets
import traitlets

from labs_lib.colors import THEME_FAINT, THEME_INK, THEME_LINE, THEME_WARNING
from labs_lib.errors import LabError
from labs_lib.figures import MEMORY_COLORS
from labs_lib.memory.closed_form import forecast
from labs_lib.memory.estimating import estimate
from labs_lib.memory.fitting import By, Card, Change, card, cards, changes_to_fit
from labs_lib.memory.request import OPTIMIZERS, MemoryRequest, request_of
from labs_lib.memory.result import GIB, KINDS, Forecast, format_bytes
from labs_lib.widgets.instrument import Instrument, Rows, label, rect, svg
from labs_lib.widgets.model_controls import model_choice, row, target_choice

_LENGTHS = tuple(2**power for power in range(5, 16))
# A trace starts when the controls have rested this long, so that dragging stays smooth.
_REST_SECONDS = 0.5
_WIDTH, _BAR_TOP, _BAR_HEIGHT = 660, 34, 40


@dataclass(frozen=True)
class Plan:
    """A forecast, the card it is for, and what to change first if it does not fit."""

    forecast: Forecast
    card: Card
    changes: tuple[Change, ...]

    @property
    def fits(self) -> bool:
        """Return whether the peak is within what the card leaves to a process."""
        return self.forecast.peak_bytes <= self.card.usable_bytes


def plan(request: MemoryRequest, card_name: str, by: By = forecast) -> Plan:
    """Return the plan of a request for a card; raises `LabError` for a bad one."""
    on = card(card_name)
    now = by(request)
    if now.peak_bytes <= on.usable_bytes:
        return Plan(now, on, ())
    return Plan(now, on, changes_to_fit(request, now, on.usable_bytes, by))


def stacked_bar(result: Forecast, on: Card) -> str:
    """Return the peak as one stacked bar in an `<svg>`, with the card's line and a legend."""
    full = max(result.peak_bytes, on.memory_bytes) * 1.04
    scale = _WIDTH / full
    parts: list[str] = []
    x = 0.0
    for kind in KINDS:
        width = result.at_peak[kind] * scale
        if width > 0:
            parts.append(rect(x, _BAR_TOP, width, _BAR_HEIGHT, MEMORY_COLORS[kind]))
        x += width
    parts.append(rect(0, _BAR_TOP, x, _BAR_HEIGHT, "none", edge=THEME_LINE))
    line = on.usable_bytes * scale
    over = result.peak_bytes > on.usable_bytes
    ink = THEME_WARNING if over else THEME_INK
    parts.append(
        f'<line x1="{line:g}" x2="{line:g}" y1="{_BAR_TOP - 8}" y2="{_BAR_TOP + _BAR_HEIGHT + 8}" '
        f'style="stroke:{ink};stroke-width:2;stroke-dasharray:5 3"/>'
    )
    anchor = "end" if line > _WIDTH / 2 else "start"
    parts.append(
        label(
            line,
            _BAR_TOP - 14,
            f"{on.name}: {format_bytes(on.usable_bytes)} usable",
            anchor=anchor,
            fill=THEME_WARNING if over else THEME_INK,
        )
    )
    for index, kind in enumerate(KINDS):
        left, top = (index % 3) * 220, _BAR_TOP + _BAR_HEIGHT + 28 + (index // 3) * 22
        parts.append(rect(left, top - 11, 13, 13, MEMORY_COLORS[kind], edge=THEME_LINE))
        words = f"{kind}  {format_bytes(result.at_peak[kind])}"
        parts.append(label(left + 20, top, words))
    said = f"{format_bytes(result.peak_bytes)} at the peak: " + ", ".join(
        f"{kind} {format_bytes(result.at_peak[kind])}" for kind in KINDS if result.at_peak[kind]
    )
    return svg(_WIDTH, _BAR_TOP + _BAR_HEIGHT + 62, "".join(parts), said)


class MemoryPlanner(Instrument):
    """Model, method and knobs → a stacked bar of the peak, a card's line, and what to change.

    State: `model`, `method`, `targets`, `rank`, `batch`, `seq_len`, `checkpointing`,
    `optimizer`, `card`. `traced_bytes` is the trace's peak for the present state, 0 until it has
    arrived. A trace starts when a control has been moved, or at once if torch is loaded.
    """

    heading: ClassVar[str] = "Memory planner"
    css_class: ClassVar[str] = "lab-memory-planner"
    state: ClassVar[tuple[str, ...]] = (
        "model",
        "method",
        "targets",
        "rank",
        "batch",
        "seq_len",
        "checkpointing",
        "optimizer",
        "card",
    )

    model: Any = traitlets.Unicode("llama-2-7b")
    method: Any = traitlets.Unicode("lora")
    targets: Any = traitlets.Unicode("q,v")
    rank: Any = traitlets.Int(8)
    batch: Any = traitlets.Int(1)
    seq_len: Any = traitlets.Int(512)
    checkpointing: Any = traitlets.Bool(False)
    optimizer: Any = traitlets.Unicode("adamw")
    card: Any = traitlets.Unicode("RTX 3090")
    traced_bytes: Any = traitlets.Int(0, help="the trace's peak, or 0 while it is not there")

    def __init__(self, *, tracing: bool = True, **state: Any):
        self._tracing = tracing
        self._turn = 0
        self._timer: threading.Timer | None = None
        self._arrived = ipywidgets.HTML()
        self._arrived.add_class("lab-traced")
        super().__init__(**state)
        self.children = (*self.children, self._arrived)
        self.observe(lambda _: self._trace_later(), names=list(self.state))
        if "torch" in sys.modules:
            self._trace_later()

    def controls(self) -> Sequence[ipywidgets.Widget]:
        """Return the knobs in three rows."""
        return (row(model_choice(self), self._method()), *self._knobs())

    def _method(self) -> ipywidgets.Widget:
        options = {"full fine-tuning": "full", "LoRA": "lora", "QLoRA": "qlora"}
        return self.bind(
            "method", ipywidgets.Dropdown(options=list(options.items()), description="method")
        )

    def _knobs(self) -> tuple[ipywidgets.Widget, ...]:
        slider = ipywidgets.IntSlider
        return (
            row(target_choice(self), self.bind("rank", slider(min=1, max=256, description="rank"))),
            row(
                self.bind("batch", slider(min=1, max=64, description="batch")),
                self.bind(
                    "seq_len",
                    ipywidgets.SelectionSlider(options=_LENGTHS, value=512, description="length"),
                ),
                self.bind(
                    "checkpointing",
                    ipywidgets.Checkbox(description="gradient checkpointing", indent=False),
                ),
            ),
            row(
                self.bind(
                    "optimizer",
                    ipywidgets.Dropdown(options=list(OPTIMIZERS), description="optimizer"),
                ),
                self.bind("card", ipywidgets.Dropdown(options=list(cards()), description="card")),
            ),
        )

    def request(self) -> MemoryRequest:
        """Return the present state as a request."""
        return request_of(
            self.model,
            method=self.method,
            # The usual pair, under whatever name the architecture gives it.
            targets=None if self.targets == "q,v" else self.targets,
            rank=self.rank,
            batch=self.batch,
            seq_len=self.seq_len,
            checkpointing=self.checkpointing,
            optimizer=self.optimizer,
        )

    def compute(self) -> Plan:
        """Return the plan of the present state."""
        return plan(self.request(), self.card, estimate if self._tracing else forecast)

    def rows(self, figures: Plan) -> Rows:
        """Return the verdict, what is trained, and what to change."""
        now, on = figures.forecast, figures.card
        spare = on.usable_bytes - now.peak_bytes
        verdict = (
            f"fits, {format_bytes(spare)} to spare"
            if figures.fits
            else f"does not fit, {format_bytes(-spare)} too much"
        )
        share = now.trainable_parameters / now.total_parameters
        return [
            ("peak", format_bytes(now.peak_bytes)),
            (on.name, verdict),
            ("trained", f"{now.trainable_parameters:,} parameters ({share:.3%})"),
            ("where the peak is", now.peak_moment),
            *(
                (f"change {number}: {each.setting}", f"{format_bytes(each.peak_bytes)}")
                for number, each in enumerate(figures.changes, 1)
            ),
        ]

    def picture(self, figures: Plan) -> str:
        """Return the stacked bar."""
        return stacked_bar(figures.forecast, figures.card)

    def line(self, figures: Plan) -> str:
        """Return model, method, peak and verdict."""
        now = figures.forecast
        verdict = "fits" if figures.fits else "does not fit"
        return (
            f"{self.model}, {self.method}, batch {self.batch} x {self.seq_len} tokens: "
            f"peak {format_bytes(now.peak_bytes)}, {verdict} {figures.card.name}"
        )

    # The trace, in its own time --------------------------------------------------------------

    def _trace_later(self) -> None:
        if not self._tracing:
            return
        self._turn += 1
        self.traced_bytes = 0
        self._arrived.value = ""
        if self._timer is not None:
            self._timer.cancel()
        if self.trouble:
            return
        call = _caller_of_this_thread()
        self._timer = threading.Timer(
            _REST_SECONDS, self._trace, (self._turn, self.request(), call)
        )
        self._timer.daemon = True
        self._timer.start()

    def _trace(self, turn: int, request: MemoryRequest, call: Callable[..., Any]) -> None:
        from labs_lib.memory.tracing import trace

        try:
            peak = trace(request).peak_bytes
        except LabError as error:
            call(self._show, turn, 0, str(error))
        else:
            call(self._show, turn, peak, "")

    def _show(self, turn: int, peak_bytes: int, trouble: str) -> None:
        if turn != self._turn or self.figures is None:
            return  # the controls have moved on
        self.traced_bytes = peak_bytes
        by_formula = self.figures.forecast.peak_bytes
        words = trouble or (
            f"Traced, the real code on shapes only: {peak_bytes / GIB:,.3f} GiB "
            f"(the formula is {by_formula / peak_bytes - 1:+.2%} from it)."
        )
        self._arrived.value = (
            f'<div role="status" style="color:{THEME_FAINT}">{html.escape(words)}</div>'
        )


class ByteBar(MemoryPlanner):
    """Where the bytes go: the planner with three controls, for a first look."""

    heading: ClassVar[str] = "Where the bytes go"
    css_class: ClassVar[str] = "lab-byte-bar"

    def controls(self) -> Sequence[ipywidgets.Widget]:
        """Return model, method and card."""
        chosen = self.bind("card", ipywidgets.Dropdown(options=list(cards()), description="card"))
        return (row(model_choice(self), self._method(), chosen),)


def _caller_of_this_thread() -> Callable[..., Any]:
    """Return a function that runs another where widgets may be changed: in the kernel's loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return lambda function, *arguments: function(*arguments)
    return loop.call_soon_threadsafe
