"""What an exercise's cell needs of the cells before it: imports, functions, classes, plain values.

Nothing runs here. What a lesson computes (a model, a run) is no part of it: a cell that needs such
a name does not run by itself, and `CellNeeds.computed` names it.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST_NODES = 20_000
_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class CellNeeds:
    """Code to run before a cell, and the names that only the lesson's own work would give."""

    before: str = ""
    computed: tuple[str, ...] = ()


def needs_of(source: str, earlier: Sequence[str]) -> CellNeeds:
    """Return what a cell needs of `earlier` cells, in their order; of each name the last counts.

    A cell that is no Python needs nothing: whoever runs it will say what is wrong with it.
    """
    wanted = _free_names(source)
    if not wanted:
        return CellNeeds()
    given = _statements(earlier)
    chosen: dict[int, ast.stmt] = {}
    computed: set[str] = set()
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in given:
            continue
        seen.add(name)
        place, statement = given[name]
        if not _is_plain(statement):
            computed.add(name)
            continue
        chosen[place] = statement
        wanted |= _free_names(_text(statement))
    before = "\n".join(_text(chosen[place]) for place in sorted(chosen))
    return CellNeeds(before, tuple(sorted(computed)))


def _statements(sources: Sequence[str]) -> dict[str, tuple[int, ast.stmt]]:
    """Return name → place and statement that gave it last, at the top of any of the cells."""
    given: dict[str, tuple[int, ast.stmt]] = {}
    place = 0
    for source in sources:
        tree = _parsed(source)
        for statement in tree.body if tree is not None else ():
            place += 1
            for name in _given_by(statement):
                given[name] = (place, statement)
    return given


def _given_by(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(each.asname or each.name).split(".")[0] for each in statement.names}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _is_plain(statement: ast.stmt) -> bool:
    """Return whether a statement only defines, or assigns what is written out in it."""
    if isinstance(statement, _DEFINES):
        return True
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return False
    never = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return not any(isinstance(node, never) for node in ast.walk(statement))


def _free_names(source: str) -> set[str]:
    """Return the names that a source reads and does not give itself, built-in ones left out."""
    if _parsed(source) is None:
        return set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = symtable.symtable(source, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    free: set[str] = set()
    ahead = [top]
    while ahead:
        table = ahead.pop()
        ahead += table.get_children()
        for symbol in table.get_symbols():
            is_global = symbol.is_global() or (table is top and not symbol.is_assigned())
            if is_global and symbol.is_referenced():
                free.add(symbol.get_name())
    own = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    own |= {s.get_name() for s in top.get_symbols() if s.is_namespace()}
    return {name for name in free - own if not hasattr(builtins, name)}


def _parsed(source: str) -> ast.Module | None:
    """Return a source's tree; None for what is no Python, such as a cell of magics, or is huge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that a later Python refuses
            tree = ast.parse(source)
        count = sum(1 for _ in ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if count <= LARGEST_NODES else None


def _text(statement: ast.stmt) -> str:
    try:
        return ast.unparse(statement)
    except RecursionError:
        return ""
