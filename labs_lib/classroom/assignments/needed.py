"""Which cells a grader need not run: those that train, and what is made of their results.

A lesson trains for minutes. A grader runs every student's notebook from top to bottom, so the
cells from which no answer is made carry a tag by which nbclient, and so every grader, skips them.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import NamedTuple

SKIPPED_TAG = "skip-execution"


class Names(NamedTuple):
    """What a cell binds, what it reads, and what of it is only a library or a definition."""

    bound: frozenset[str]
    read: frozenset[str]
    definitions: frozenset[str]


def skippable(
    sources: Sequence[str], trains: Collection[int], graded: Collection[int]
) -> list[int]:
    """Return the places of the cells that a grader need not run.

    `trains` are the places of cells that train, `graded` those of answers and their tests. A cell
    that trains is run all the same where an answer is made of something that it touches.
    """
    cells = [names_in(source) for source in sources]
    definitions = frozenset().union(*(cell.definitions for cell in cells))
    needed: set[int] = set()
    wanted: set[str] = set()
    for place in reversed(range(len(cells))):
        cell = cells[place]
        touched = cell.bound if place not in trains else cell.bound | cell.read - definitions
        if place in graded or touched & wanted:
            needed.add(place)
            wanted |= cell.read
    skipped: list[int] = []
    missing: set[str] = set()
    for place, cell in enumerate(cells):
        if place not in needed and (place in trains or cell.read & missing):
            skipped.append(place)
            missing |= cell.bound
        else:
            missing -= cell.bound
    return skipped


def names_in(source: str) -> Names:
    """Return the names of a cell; none of a cell that is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Names(frozenset(), frozenset(), frozenset())
    bound: set[str] = set()
    read: set[str] = set()
    definitions: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            definitions.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            definitions |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return Names(frozenset(bound | definitions), frozenset(read), frozenset(definitions))
