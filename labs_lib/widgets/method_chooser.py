"""The method chooser: model, card and priorities → full, LoRA or QLoRA, argued in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import ipywidgets
import traitlets

from labs_lib.colors import BLUE, GREEN, THEME_FAINT, THEME_INK, THEME_LINE, THEME_WARNING
from labs_lib.memory.decision import PRIORITIES, Decision, decide
from labs_lib.memory.fitting import cards
from labs_lib.memory.result import GIB, format_bytes
from labs_lib.widgets.instrument import Instrument, Rows, label, rect, svg
from labs_lib.widgets.model_controls import model_choice, row

_LENGTHS = tuple(2**power for power in range(7, 15))
_WORDS = {
    "capacity": "much that is new to the model",
    "retention": "it must forget least",
    "variants": "many versions of it",
    "length": "texts as long as possible",
}
_WIDTH, _LEFT, _ROW = 660, 230, 28


class MethodChooser(Instrument):
    """What fits, what is chosen, and why; a bar for each way that was weighed.

    State: `model`, `card`, `seq_len`, and a yes or no for each of `PRIORITIES`.
    """

    heading: ClassVar[str] = "Which method?"
    css_class: ClassVar[str] = "lab-method-chooser"
    state: ClassVar[tuple[str, ...]] = ("model", "card", "seq_len", *PRIORITIES)

    model: Any = traitlets.Unicode("llama-2-13b")
    card: Any = traitlets.Unicode("RTX 4090")
    seq_len: Any = traitlets.Int(512)
    capacity: Any = traitlets.Bool(False)
    retention: Any = traitlets.Bool(False)
    variants: Any = traitlets.Bool(False)
    length: Any = traitlets.Bool(False)

    def controls(self) -> Sequence[ipywidgets.Widget]:
        """Return model, card and length; a box to tick for each priority."""
        chosen = self.bind("card", ipywidgets.Dropdown(options=list(cards()), description="card"))
        tokens = self.bind(
            "seq_len", ipywidgets.SelectionSlider(options=_LENGTHS, value=512, description="tokens")
        )
        ticks = [
            self.bind(
                each,
                ipywidgets.Checkbox(description=words, indent=False, tooltip=PRIORITIES[each]),
            )
            for each, words in _WORDS.items()
        ]
        return (row(model_choice(self), chosen, tokens), row(*ticks))

    def compute(self) -> Decision:
        """Return the decision of the present state."""
        wanted = [each for each in PRIORITIES if getattr(self, each)]
        return decide(self.model, self.card, wanted, seq_len=self.seq_len)

    def rows(self, figures: Decision) -> Rows:
        """Return the choice, its peak and room, and how long a text may get."""
        chosen = figures.chosen
        if chosen is None:
            return [("choice", "no method fits")]
        return [
            ("choice", chosen.name),
            ("peak", format_bytes(chosen.forecast.peak_bytes)),
            (f"to spare on {figures.card.name}", format_bytes(chosen.spare_bytes)),
        ]

    def notes(self, figures: Decision) -> Sequence[str]:
        """Return the reasons."""
        return figures.reasons

    def picture(self, figures: Decision) -> str:
        """Draw a bar for each way, with the card's line; the chosen one is green."""
        most = max(each.forecast.peak_bytes for each in figures.options)
        # A bar far beyond the card is cut, so that the card's own share can be seen.
        full = min(max(most, figures.card.memory_bytes), 2 * figures.card.memory_bytes)
        scale = (_WIDTH - _LEFT - 110) / full
        parts: list[str] = []
        for index, each in enumerate(figures.options):
            y = 26 + index * _ROW
            peak = each.forecast.peak_bytes
            color = GREEN if each is figures.chosen else BLUE if each.fits else THEME_LINE
            width = min(peak, full) * scale
            bold = "font-weight:bold" if each is figures.chosen else ""
            parts.append(label(_LEFT - 8, y + 15, _short(each.name), anchor="end", style=bold))
            parts.append(rect(_LEFT, y, width, 20, color))
            cut = "→  " if peak > full else ""
            value = f"{cut}{peak / GIB:,.2f} GiB"
            parts.append(label(_WIDTH - 2, y + 15, value, anchor="end", style=bold))
        line, bottom = _LEFT + figures.card.usable_bytes * scale, 26 + len(figures.options) * _ROW
        parts.append(
            f'<line x1="{line:g}" x2="{line:g}" y1="18" y2="{bottom}" '
            f'style="stroke:{THEME_WARNING};stroke-width:2;stroke-dasharray:5 3"/>'
        )
        usable = f"{figures.card.name}: {format_bytes(figures.card.usable_bytes)} usable"
        parts.append(label(line, 13, usable, anchor="middle", fill=THEME_INK))
        legend = "green: chosen, blue: fits too, grey: does not fit"
        parts.append(label(_LEFT, bottom + 16, legend, fill=THEME_FAINT))
        return svg(_WIDTH, bottom + 24, "".join(parts), self.line(figures))

    def line(self, figures: Decision) -> str:
        """Return the choice and the priorities in one line."""
        wanted = f" ({', '.join(figures.priorities)})" if figures.priorities else ""
        return f"{figures.answer}, {self.seq_len} tokens{wanted}"


def _short(name: str) -> str:
    return name.replace("checkpointing, paged 8-bit AdamW", "all savings")
