"""What a student waits for, as `benchmarks/waiting.py` recorded it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, records, seconds_text

# What the course's README tells of all that was recorded.
IN_SHORT = {
    "first set-up": "`python3 course.py setup` from a clean clone (packages in pip's cache)",
    "second set-up": "a second `course.py setup`",
    "JupyterLab answers": "`course.py start` until JupyterLab answers",
    "first answer": "the model's first answer, once it is loaded",
    "lesson 00's training": "lesson 00's training",
    "all lessons": "all lessons, executed one after the other",
}


COMMAND = "`python benchmarks/waiting.py --json benchmarks/results/waiting-PRECISION.json`"


def waiting() -> str:
    """Return the table of every figure, a column a kind of CPU, after where it comes from."""
    kinds = records("waiting")
    names = dict.fromkeys(name for values in kinds.values() for name in values["figures"])
    rows = [(name, *(_figure(values, name) for values in kinds.values())) for name in names]
    made = "; ".join(provenance(values) for values in kinds.values())
    return "\n\n".join([paragraph(f"{COMMAND}: {made}."), _table(kinds, rows)])


def waiting_in_short() -> str:
    """Return the few figures that a person asks for first."""
    kinds = records("waiting")
    rows = [
        (text, *(_in_short(values, what) for values in kinds.values()))
        for what, text in IN_SHORT.items()
    ]
    made = "; ".join(provenance(values) for values in kinds.values())
    return "\n\n".join([paragraph(f"Measured: {made}."), _table(kinds, rows)])


def _in_short(values: dict[str, Any], what: str) -> str:
    """Return a figure; of all lessons with how many there were, for the course grew in between."""
    figure = _figure(values, what, seconds_text)
    lessons = sum(name.startswith("lesson ") and "_" in name for name in values["figures"])
    return f"{figure} ({lessons} lessons)" if what == "all lessons" and lessons else figure


def _table(kinds: Mapping[str, object], rows: Iterable[Sequence[str]]) -> str:
    return table(("what", *(f"CPU computing in {kind}" for kind in kinds)), rows)


def _figure(
    values: dict[str, Any], name: str, text: Callable[[float], str] = "{:,.2f} s".format
) -> str:
    number = values["figures"].get(name)
    if number is None:
        return "–"
    return f"{number:,.1f}" if "(ms)" in name else text(number)
