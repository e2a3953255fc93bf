"""Code as it circulates and code that works: both run, and the first one's error is shown."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_lib.errors import last_line
from labs_lib.quiet import quiet_libraries
from labs_lib.shown import type_name
from labs_lib.tables import Table

_PLACE = re.compile(r" \((?:/|[A-Za-z]:\\)[^)]*\)")  # where a module lies, on this machine


def compare_code(pairs: Sequence[tuple[str, str]], **names: Any) -> Table:
    """Run both pieces of code of each pair; return what the first says beside the second.

    `pairs` holds (as published, as it works today); `names` are what both may use without importing
    it.  The table's middle column holds the class and the last line of the first one's error, or
    "no error".  Raises what the second one raises: it has to work.
    """
    lines = []
    for published, working in pairs:
        said = what_it_says(published, names)
        _run(working, names)
        lines.append((published, said, working))
    return Table.of(("as published", "what it says today", "as it works today"), lines)


def what_it_says(code: str, names: Mapping[str, Any]) -> str:
    """Return the class and the last line of the error that a piece of code ends with."""
    try:
        _run(code, names)
    except Exception as error:
        return f"{type_name(error)}: {_PLACE.sub('', last_line(error))}"
    return "no error"


def _run(code: str, names: Mapping[str, Any]) -> None:
    """Run code as a file of its own, with no names but `names`, and hide what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "block.py"
        file.write_text(code, encoding="utf-8")
        with quiet_libraries(), contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(file), init_globals=dict(names))
