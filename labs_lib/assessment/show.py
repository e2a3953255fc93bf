"""What a notebook shows: one display of plain text and HTML, the same every time."""

from __future__ import annotations

import html
import sys
from typing import Any

from labs_lib.assessment.confidence import GUESS, SURE
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED, RECORDED
from labs_lib.colors import BLUE, GREEN, GREY, ORANGE, RED

_LOOKS = {
    # status → (word, sign, color); the word and the sign say it, the color only helps.
    CORRECT: ("Correct", "✓", GREEN),
    INCORRECT: ("Not yet", "✗", ORANGE),
    NOT_ATTEMPTED: ("Not attempted", "○", GREY),
    ERROR: ("Error", "!", RED),
    RECORDED: ("Recorded", "●", BLUE),
    "note": ("", "", BLUE),
}
# What a stated confidence adds to the word, where the outcome should surprise the student.
_SURPRISES = {
    (INCORRECT, SURE): "though you were sure. Read this twice",
    (CORRECT, GUESS): "though you guessed. Read why",
}


class Panel:
    """A short message with a heading, as plain text and as HTML; `strong` draws a full frame."""

    def __init__(
        self,
        heading: str,
        text: str,
        look: str = "note",
        markdown: bool = True,
        strong: bool = False,
    ):
        self.heading = heading
        self.text = text
        self.look = look
        self.markdown = markdown
        self.strong = strong

    @property
    def plain(self) -> str:
        """Return the message as one plain text."""
        return f"{self.heading}: {self.text}" if self.heading else self.text

    @property
    def html(self) -> str:
        """Return the message as HTML that needs no style sheet."""
        _, sign, color = _LOOKS[self.look]
        body = markdown_html(self.text) if self.markdown else f"<p>{html.escape(self.text)}</p>"
        # Jupyter's own margins around a paragraph would tear a short panel apart.
        body = body.replace("<p>", '<p style="margin:2px 0">')
        head = html.escape(f"{sign} {self.heading}".strip())
        frame = f"border:2px solid {color};" if self.strong else ""
        return (
            f'<div class="labs-panel labs-{self.look.replace(" ", "-")}" role="status" '
            f'style="{frame}border-left:{8 if self.strong else 4}px solid {color};'
            f"padding:4px 12px;margin:4px 0;"
            f'line-height:1.45">'
            f"<strong>{head}</strong>{body}</div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.plain, "text/html": self.html}

    def __repr__(self) -> str:
        return self.plain


def outcome_panel(subject: str, status: str, message: str, confidence: str = "") -> Panel:
    """Return the panel of an outcome: its word, then why; framed if it was wrong and sure."""
    heading = f"{_LOOKS[status][0]} ({subject})" if subject else _LOOKS[status][0]
    surprise = _SURPRISES.get((status, confidence))
    if surprise:
        heading += f", {surprise}"
    return Panel(heading, message, status, strong=(status, confidence) == (INCORRECT, SURE))


def with_note(text: str, note: str) -> str:
    """Return a text with a line in brackets below it, if there is one."""
    return f"{text}\n\n({note})" if note else text


def show(panel: Panel) -> None:
    """Display a panel in a notebook; print it where there is none."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        # IPython leaves its arguments without types.
        from IPython.display import display  # pyright: ignore[reportUnknownVariableType]

        display(panel)
    else:
        print(panel.plain)


def markdown_html(text: str) -> str:
    """Return Markdown, tables among it, as HTML; HTML inside it is shown, not obeyed."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").render(text)


def markdown_inline_html(text: str) -> str:
    """Return one line of Markdown as HTML with no paragraph around it."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).renderInline(text)
