"""Markdown as the READMEs write it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

COLUMNS = 100


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def paragraph(text: str) -> str:
    """Return prose broken into lines, never inside a word or a `code` span's option."""
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)
