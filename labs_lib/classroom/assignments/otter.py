"""An assignment in otter-grader's form: a notebook from which `otter assign` makes two."""

from __future__ import annotations

import json
import re
from typing import Any

from labs_lib.classroom.assignments.needed import SKIPPED_TAG
from labs_lib.classroom.assignments.parts import Answer, Code, Marked, Part, Text

# Otter writes no answer sheet as PDF, and leaves the environment to the instructor.
CONFIG = """\
# ASSIGNMENT CONFIG
name: {name}
init_cell: false
export_cell: false
check_all_cell: false
generate: true
"""


def cells_of(parts: list[Part], name: str) -> list[dict[str, Any]]:
    """Return the master notebook's cells; an answer and the test after it are one question."""
    cells = [_raw(CONFIG.format(name=json.dumps(name)))]
    for part in parts:
        match part:
            case Text():
                cells.append(_made("markdown", part.source))
            case Code():
                tags = [*part.tags, *([SKIPPED_TAG] if part.skipped else [])]
                cells.append(_made("code", part.source, {"tags": tags} if tags else {}))
            case Answer():
                cells += _answer(part)
            case Marked():
                cells += _test(part)
    return cells


def _answer(part: Answer) -> list[dict[str, Any]]:
    source = f"{part.given}\n# BEGIN SOLUTION NO PROMPT\n{part.solution}\n# END SOLUTION"
    return [
        _raw(f"# BEGIN QUESTION\nname: {re.sub(r'[^A-Za-z0-9_]', '_', 'q_' + part.id)}\npoints: 1"),
        _raw("# BEGIN SOLUTION"),
        _made("code", source),
        _raw("# END SOLUTION"),
    ]


def _test(part: Marked) -> list[dict[str, Any]]:
    return [
        _raw("# BEGIN TESTS"),
        _made("code", f"{_config(hidden=False, points=0)}\n{part.shown}"),
        _made("code", f"{_config(hidden=True, points=part.points)}\n{part.hidden}"),
        _raw("# END TESTS"),
        _raw("# END QUESTION"),
    ]


def _config(*, hidden: bool, points: int) -> str:
    settings = f"hidden: {str(hidden).lower()}\npoints: {points}"
    return f'""" # BEGIN TEST CONFIG\n{settings}\n""" # END TEST CONFIG'


def _raw(source: str) -> dict[str, Any]:
    return _made("raw", source.rstrip())


def _made(kind: str, source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": metadata or {}, "source": source}
    return {**cell, "outputs": [], "execution_count": None} if kind == "code" else cell
