"""Pieces of the report's page: sections, tables with headings, figures, numbers in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from labs_lib.classroom.report.classical import Estimate


def section(key: str, title: str, inside: str) -> str:
    """Return a section that its heading names."""
    return f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(title)}</h2>{inside}</section>'


def figure(picture: str, caption: str) -> str:
    """Return a picture with its caption."""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def table(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    words: Collection[int] = (),
) -> str:
    """Return a table of cells that are HTML already; the first of a row is its heading.

    It scrolls by itself, with the keyboard too, where it is wider than the page.
    """
    top = "".join(
        f'<th scope="col"{_class(n, numbers, words)}>{escape(head)}</th>'
        for n, head in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{row[0]}</th>'
        + "".join(
            f"<td{_class(n, numbers, words)}>{cell}</td>" for n, cell in enumerate(row[1:], start=1)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _class(column: int, numbers: Collection[int], words: Collection[int]) -> str:
    name = "number" if column in numbers else "words" if column in words else ""
    return f' class="{name}"' if name else ""


def percent(share: float | None) -> str:
    """Return a share as "42 %"; nothing for none."""
    return "" if share is None else f"{100 * share:.0f} %"


def with_interval(estimate: Estimate | None) -> str:
    """Return "0.42 (0.31 to 0.52)", or a dash where there is no figure."""
    if estimate is None:
        return "–"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def bar(share: float) -> str:
    """Return a share as a small bar; the number beside it says it to ears."""
    return f'<span class="share" aria-hidden="true"><span style="width:{share:.0%}"></span></span>'
