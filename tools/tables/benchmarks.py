"""The programs that measure: what each is for and how long it takes, from its first lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from labs_lib.errors import LabError
from tools.tables.markdown import table
from tools.tables.recorded import FOLDER

DURATION = re.compile(r"Takes about (.+?)\.(?:\s|$)")


def scripts(folder: Path = FOLDER) -> list[Path]:
    """Return the benchmarks that can be called, in the order of the alphabet."""
    return sorted(path for path in folder.glob("*.py") if "__main__" in path.read_text("utf-8"))


def programs() -> str:
    """Return the table of the benchmarks.

    Raises `LabError` where one does not say how long it takes.
    """
    rows = []
    for path in scripts():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        duration = DURATION.search(docstring)
        if duration is None:
            raise LabError(f"{path.name}: the docstring should say 'Takes about N minutes.'")
        rows.append((f"`{path.name}`", docstring.splitlines()[0].rstrip("."), duration[1]))
    return table(("program", "what it measures", "about"), rows)
