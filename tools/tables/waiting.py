"""What a student waits for, as `benchmarks/waiting.py` recorded it."""

from __future__ import annotations

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, record, seconds_text

# What the course's README tells of all that was recorded.
IN_SHORT = {
    "first set-up": "`python3 course.py setup` from a clean clone (packages in pip's cache)",
    "second set-up": "a second `course.py setup`",
    "JupyterLab answers": "`course.py start` until JupyterLab answers",
    "first answer": "the model's first answer, once it is loaded",
    "lesson 00's training": "lesson 00's training",
    "all lessons": "all lessons, executed one after the other",
}


def waiting() -> str:
    """Return the table of every figure, after where it comes from."""
    values = record("waiting")
    figures = values["figures"]
    rows = [
        (what, f"{number:,.1f}" if "(ms)" in what else f"{number:,.2f} s")
        for what, number in figures.items()
    ]
    command = "`python benchmarks/waiting.py --json benchmarks/results/waiting.json`"
    return "\n\n".join(
        [
            paragraph(f"{command}: {provenance(values)}."),
            table(("what", "measured"), rows),
        ]
    )


def waiting_in_short() -> str:
    """Return the few figures that a person asks for first."""
    values = record("waiting")
    rows = [(text, seconds_text(values["figures"][what])) for what, text in IN_SHORT.items()]
    return "\n\n".join(
        [paragraph(f"Measured: {provenance(values)}."), table(("what", "measured"), rows)]
    )
