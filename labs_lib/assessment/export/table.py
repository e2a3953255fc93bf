"""CSV for a spreadsheet, in which no cell is run as a formula."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from labs_lib.assessment.export.parts import Exported, feedback_of, tags_of
from labs_lib.assessment.interactions import Quantity, lettered
from labs_lib.assessment.questions import Question

COLUMNS: tuple[str, ...] = (
    "id", "lesson", "objective", "kind", "difficulty", "prompt", "options", "unit",
    "tolerance", "answer", "hint", "explanation", "source",
    "feedback", "tags",
)  # fmt: skip
# What a spreadsheet takes for the start of a formula; a number is none.
_FORMULA = re.compile(r"\s*[=+\-@|％＝＋－＠\t\r]")
_NUMBER = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?", re.I)


def holds(_question: Question) -> bool:
    """Return True: a table can hold every kind."""
    return True


def write(exported: Exported, path: Path) -> None:
    """Write one row a question, with a byte order mark for the spreadsheets that need one."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for _, question in exported.questions:
            interaction = question.interaction
            quantity = interaction if isinstance(interaction, Quantity) else None
            row = {
                "id": question.id,
                "lesson": question.lesson,
                "objective": question.objective,
                "kind": question.kind,
                "difficulty": question.difficulty,
                "prompt": question.prompt,
                "options": "\n".join(lettered(interaction)),
                "unit": quantity.unit if quantity else "",
                "tolerance": quantity.width if quantity else "",
                "answer": question.right_answer(),
                "hint": question.hint,
                "explanation": question.explanation,
                "source": question.source,
                "feedback": "\n".join(" ".join(pair) for pair in feedback_of(question)),
                "tags": " ".join(tags_of(question)),
            }
            writer.writerow({name: as_text(value) for name, value in row.items()})


def as_text(value: object) -> object:
    """Return a cell that a spreadsheet shows as it stands: a formula gets an apostrophe."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value) or not _FORMULA.match(value):
        return value
    return f"'{value}"
