"""What a cell of a lesson is to a reader, told from its text alone."""

from __future__ import annotations

import ast
import re
from typing import Any, Literal

Cell = Any  # nbformat's NotebookNode: a dict whose keys are also attributes
Kind = Literal[
    "heading", "prose", "code", "imports", "predict", "compare", "claim", "task", "kernel only"
]

# The call that a cell ends with → what the cell is there for.
CALLS: dict[str, Kind] = {
    "predict": "predict",
    "compare_prediction": "compare",
    "claim": "claim",
    "show_task": "task",
    "arrange": "task",
    "ask": "task",
    "check": "kernel only",
    "load_in_background": "kernel only",
    "review": "kernel only",
    "show_progress": "kernel only",
}
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def kind_of(cell: Cell) -> Kind:
    """Return what a cell is to a reader."""
    if cell.cell_type != "code":
        return "heading" if _HEADING.search(_FENCE.sub("", cell.source)) else "prose"
    statements = statements_of(cell)
    if statements and all(isinstance(each, (ast.Import, ast.ImportFrom)) for each in statements):
        return "imports"
    return CALLS.get(called(cell), "code")


def statements_of(cell: Cell) -> list[ast.stmt]:
    """Return the statements of a code cell; none where IPython's own syntax stands in it."""
    try:
        return ast.parse(cell.source).body
    except SyntaxError:
        return []


def last_call(cell: Cell) -> ast.Call | None:
    """Return the call of a plain name that a cell ends with."""
    statements = statements_of(cell)
    if statements and isinstance(statements[-1], ast.Expr):
        value = statements[-1].value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            return value
    return None


def called(cell: Cell) -> str:
    """Return the name of the function that a cell calls at its end, or an empty string."""
    call = last_call(cell)
    return call.func.id if call and isinstance(call.func, ast.Name) else ""


def is_bare_call(cell: Cell) -> bool:
    """Return whether a cell does nothing but import and call."""
    *before, _ = statements_of(cell) or [None]
    return last_call(cell) is not None and all(
        isinstance(each, (ast.Import, ast.ImportFrom)) for each in before
    )
