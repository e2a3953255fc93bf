"""Progress at a glance: a bar per lesson, what to revisit, calibration."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from labs_lib.assessment.confidence import confidence_calibration
from labs_lib.assessment.predictions import calibration_of
from labs_lib.assessment.progress import Standing, standing
from labs_lib.colors import GREEN, THEME_LINE


def show_progress() -> ProgressCard:
    """Return the student's progress; show it as a cell's result."""
    return ProgressCard()


class ProgressCard(ipywidgets.VBox):
    """A bar per lesson, the questions worth another look, and how well the student judged."""

    def __init__(self) -> None:
        self._body = ipywidgets.HTML()
        self._refresh = ipywidgets.Button(description="Refresh", tooltip="Read the progress again")
        super().__init__([self._body, self._refresh])
        self.add_class("labs-progress")
        self._refresh.on_click(lambda _: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        """Read the progress file again."""
        self._standing = standing()
        self._body.value = self._html()

    @property
    def text(self) -> str:
        """Return the same as plain text."""
        lines = [
            f"{each.lesson} {each.title}: {each.correct} of {each.total}"
            for each in self._standing.lessons
        ]
        return "\n".join([*lines, *_notes(self._standing)])

    def _html(self) -> str:
        rows = []
        for each in self._standing.lessons:
            title = html.escape(f"{each.lesson} {each.title}")
            count = f"{each.correct} of {each.total}"
            rows.append(
                f'<tr><td style="padding:2px 12px 2px 0">{title}</td>'
                f'<td><div role="progressbar" aria-valuemin="0" aria-valuemax="{each.total}" '
                f'aria-valuenow="{each.correct}" aria-label="{title}: {count}" '
                f'style="width:220px;height:10px;border:1px solid {THEME_LINE}">'
                f'<div style="width:{each.percent:.0f}%;height:100%;background:{GREEN}"></div>'
                "</div></td>"
                f'<td style="padding-left:12px;font-variant-numeric:tabular-nums">{count}</td></tr>'
            )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in _notes(self._standing))
        return f'<table style="line-height:1.5">{"".join(rows)}</table>{notes}'

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self.text, "text/html": self._html()}


def _notes(now: Standing) -> list[str]:
    notes = []
    if now.revisit:
        notes.append("Worth another look: " + ", ".join(item.id for item in now.revisit))
    if now.to_write:
        notes.append("Put in order, to be written yet: " + ", ".join(now.to_write))
    notes.append(calibration_of(now.events).text)
    if confidence := confidence_calibration(now.events).text:
        notes.append(confidence)
    if now.unreadable:
        notes.append(f"{now.unreadable} unreadable line(s) of the progress file were skipped.")
    return notes
