"""An assignment in nbgrader's form: a course folder with one assignment's source in it."""

from __future__ import annotations

import re
from typing import Any

from labs_lib.classroom.assignments.needed import SKIPPED_TAG
from labs_lib.classroom.assignments.parts import Answer, Code, Marked, Part, Text

SCHEMA_VERSION = 3
CONFIG = '''"""What nbgrader needs to know of this assignment."""

import os
import tempfile

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "lora-lab"
# A cell of a lesson may take longer than nbgrader's 30 seconds.
c.Execute.timeout = 300
# A notebook that is not solved runs to its end.
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}
# What the students' cells record goes nowhere.
os.environ["LABS_HOME"] = tempfile.mkdtemp(prefix="lora-lab-grading-")
'''


def cells_of(parts: list[Part]) -> list[dict[str, Any]]:
    """Return the assignment's cells: with solutions and hidden tests, which nbgrader takes out."""
    return [_cell(part) for part in parts]


def _cell(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return _made("markdown", part.source, {})
        case Code():
            tags = [*part.tags, *([SKIPPED_TAG] if part.skipped else [])]
            return _made("code", part.source, {"tags": tags} if tags else {})
        case Answer():
            source = f"{part.given}\n### BEGIN SOLUTION\n{part.solution}\n### END SOLUTION"
            return _made("code", source, _graded(f"{part.id}-answer", solution=True))
        case Marked():
            source = f"{part.shown}\n### BEGIN HIDDEN TESTS\n{part.hidden}\n### END HIDDEN TESTS"
            return _made("code", source, _graded(part.id, points=part.points))


def _graded(name: str, *, solution: bool = False, points: int = 0) -> dict[str, Any]:
    known: dict[str, Any] = {
        "grade": not solution,
        "grade_id": re.sub(r"[^A-Za-z0-9_-]", "-", name),
        "locked": not solution,
        "schema_version": SCHEMA_VERSION,
        "solution": solution,
        "task": False,
    }
    return {"nbgrader": known if solution else {**known, "points": points}}


def _made(kind: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": metadata, "source": source}
    return cell if kind == "markdown" else {**cell, "outputs": [], "execution_count": None}
