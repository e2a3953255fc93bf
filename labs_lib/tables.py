"""Tables in lessons: HTML in a notebook, aligned text everywhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_UNBROKEN = re.compile(r"\S{31,}")  # JSON or a path, wider than its column


@dataclass(frozen=True)
class Table:
    """A table of short texts; `columns` are the headings, each row has as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
        """Build a table; every cell is turned to text."""
        table = cls(tuple(columns), tuple(tuple(map(str, row)) for row in rows))
        if wrong := [row for row in table.rows if len(row) != len(table.columns)]:
            raise ValueError(f"a row of {len(wrong[0])} cells under {len(columns)} headings")
        return table

    def _repr_html_(self) -> str:
        def cells(tag: str, texts: Sequence[str]) -> str:
            style = "text-align:left;vertical-align:top;white-space:normal"
            inner = "".join(f'<{tag} style="{style}">{_html(text)}</{tag}>' for text in texts)
            return f"<tr>{inner}</tr>"

        body = "".join(cells("td", row) for row in self.rows)
        return f"<table><thead>{cells('th', self.columns)}</thead><tbody>{body}</tbody></table>"

    def folded(self, title: str) -> Folded:
        """Return the table behind its title, which opens it; text shows it at once."""
        return Folded(self, title)

    def __repr__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def _html(text: str) -> str:
    """Return a cell's text, which may go on in a new line after a comma or slash of a long word."""
    broken = _UNBROKEN.sub(lambda found: re.sub(r"([,/])(?=.)", r"\1<wbr>", found[0]), escape(text))
    return broken.replace("\n", "<br>")


@dataclass(frozen=True)
class Folded:
    """A long table that a page shows when its title is clicked."""

    table: Table
    title: str

    def _repr_html_(self) -> str:
        summary = f"<summary>{escape(self.title)}</summary>"
        return f"<details>{summary}{self.table._repr_html_()}</details>"

    def __repr__(self) -> str:
        return f"{self.title}\n{self.table!r}"
