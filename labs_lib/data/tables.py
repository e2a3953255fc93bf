"""Tables of text: the records of a CSV file, whichever separator and blanks it was saved with."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from labs_lib.data.records import check_columns, check_names, form_of
from labs_lib.errors import LabError

SEPARATORS = (",", ";", "\t", "|")
_UNNAMED = "column "
LONGEST_CELL = 2**31 - 1
# Excel's first line in some languages.
_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n?', re.I)
# The line below a Markdown table's header.
_DASHES = re.compile(r"\s*(?::?-+:?\s*)?")
_QUOTED_AFTER_BLANK = re.compile(r'\s+".*"\s*', re.S)


class _Record(NamedTuple):
    line: int  # on which it begins
    last_line: int
    cells: list[str]


def table_records(
    name: str, text: str, renamed: Mapping[str, str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, column → cell) for each row below the header.

    The separator is the one by which the header names the columns: a comma, a semicolon, a tab
    or a bar, as in a Markdown table.  Blanks between a separator and a quote, and empty columns
    at the end, don't count.  `renamed` maps a column's name to the one that the course knows.
    Raises LabError with the file's name and the line.
    """
    separator, skipped = _separator(text)
    records = _records(name, text, separator, skipped)
    header: list[str] | None = None
    markdown, first = False, True
    for record in records:
        cells = record.cells
        where = f"line {record.last_line}"
        if not any(cell.strip() for cell in cells):
            continue
        while cells and not cells[-1].strip() and (header is None or len(cells) > len(header)):
            cells.pop()
        if header is None:
            header = _header(name, where, cells, renamed or {})
            continue
        if first and separator == "|" and all(_DASHES.fullmatch(cell) for cell in cells):
            markdown, first = True, False
            continue
        first = False
        if markdown:
            cells = [cell.strip() for cell in cells]
        if len(cells) != len(header):
            raise LabError(
                f"{name}, {where}: {len(cells)} cells where the header has"
                f" {len(header)}; put text that holds a {_name(separator)} in double quotes"
            )
        yield (
            where,
            {
                column: cell
                for column, cell in zip(header, cells, strict=True)
                if cell or not column.startswith(_UNNAMED)
            },
        )


def _header(name: str, where: str, cells: list[str], renamed: Mapping[str, str]) -> list[str]:
    check_names(f"{name}, {where}", [cell.strip() for cell in cells], renamed)
    header = [renamed.get(cell.strip(), cell.strip()) for cell in cells]
    named = [column for column in header if column]
    if len(set(named)) < len(named):
        twice = next(column for column in named if named.count(column) > 1)
        raise LabError(f"{name}, {where}: column {twice!r} stands twice")
    check_columns(f"{name}, {where}", named)
    # A column without a name is a spreadsheet's counter; it gets one, so that two don't collide.
    return [column or f"{_UNNAMED}{place}" for place, column in enumerate(header, start=1)]


def _separator(text: str) -> tuple[str, int]:
    """Return the separator, and how many characters at the start are there to name it."""
    told = _SEPARATOR_LINE.match(text)
    if told:
        return told[1], told.end()
    counts: dict[str, int] = {}
    for separator in SEPARATORS:
        for record in _parsed(text, separator, skip_blanks=True, strict=False):
            if any(cell.strip() for cell in record.cells):
                names = [cell.strip() for cell in record.cells]
                if form_of(names):
                    return separator, 0
                counts[separator] = len(names)
                break
    most = max(counts, key=lambda each: counts[each], default=",")
    return (most if counts.get(most, 1) > 1 else ","), 0


def _records(name: str, text: str, separator: str, skipped: int) -> Iterator[_Record]:
    """Return the records; with the blanks before quotes skipped if there are such."""
    text = _blanks_after_quotes_out(text[skipped:], separator)
    first_line = 1 if skipped else 0
    blanks = any(
        _QUOTED_AFTER_BLANK.fullmatch(cell)
        or (cell[:1].isspace() and cell.lstrip().startswith('"'))
        for record in _parsed(text, separator, skip_blanks=False, strict=False)
        for cell in record.cells
    )
    line = first_line
    try:
        for record in _parsed(text, separator, skip_blanks=blanks, strict=True):
            line = record.last_line + first_line
            yield _Record(record.line + first_line, line, record.cells)
    except csv.Error as error:
        where = f"{name}, line {line + 1}"
        reason = str(error)
        if "end of data" in reason:
            reason = "a double quote that is opened here is not closed"
        elif "expected after" in reason:
            reason += '; double a quote inside quotes: ""'
        raise LabError(f"{where}: not CSV: {reason}") from None


def _blanks_after_quotes_out(text: str, separator: str) -> str:
    """Return the text without the blanks between a closing quote and a separator or line end."""
    end = rf"(?=[{re.escape(separator)}\r\n]|\Z)"
    if not re.search(rf'" +{end}', text):
        return text
    # Every quoted cell is taken as a whole, so that nothing inside one is taken for its end.
    cell = rf'((?:\A|[{re.escape(separator)}\r\n]) *"[^"]*(?:""[^"]*)*") *{end}'
    return re.sub(cell, r"\1", text)


def _parsed(text: str, separator: str, *, skip_blanks: bool, strict: bool) -> Iterator[_Record]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=skip_blanks, strict=strict)
        last = 0
        for cells in reader:
            yield _Record(last + 1, reader.line_num, cells)
            last = reader.line_num
    finally:
        csv.field_size_limit(before)


def _name(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(separator, separator)
