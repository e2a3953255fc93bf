"""Banks for other systems: CSV, QTI (Canvas and others), Moodle XML, Anki decks.

Each format holds the questions that it can ask. A parameterised question is exported with the
numbers of one seed; an ordering becomes a single choice between orders where the format has no
ordering of its own; a code question goes into CSV and Anki only. `lost` counts what else a format
loses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export import anki, moodle, qti, table
from labs_lib.assessment.export.losses import Loss, losses
from labs_lib.assessment.export.parts import Exported, options_of, orders_of, plain
from labs_lib.errors import LabError, choice_error
from labs_lib.files import friendly_os_errors, written_aside

__all__ = ["WRITERS", "Loss", "export_banks", "left_out", "lost", "options_of", "orders_of"]


class Writer(NamedTuple):
    """How a format is written, and which questions it can hold."""

    write: Callable[[Exported, Path], None]
    holds: Callable[..., bool]


WRITERS: dict[str, Writer] = {
    "csv": Writer(table.write, table.holds),
    "qti": Writer(qti.write, qti.holds),
    "moodle": Writer(moodle.write, moodle.holds),
    "anki": Writer(anki.write, anki.holds),
}
# Which formats can ask for an order as a choice between orders.
WITH_CHOICES = ("moodle", "qti")


def export_banks(
    banks: Sequence[Bank],
    form: str,
    path: Path,
    seed: int = 0,
    *,
    ordering_as_choice: bool = False,
) -> int:
    """Write the banks' questions to `path` as csv, qti, moodle or anki; return how many.

    `ordering_as_choice` turns an ordering into a single choice for a Moodle that has no ordering
    type (before 4.4 it is a plugin); QTI knows no other form. Raises LabError for an unknown
    format or one that has no choices to turn it into, a question that the format's library
    refuses, or a file that cannot be written; the file is whole or absent.
    """
    writer = _writer(form)
    if ordering_as_choice and form not in WITH_CHOICES:
        legal = " and ".join(WITH_CHOICES)
        raise LabError(f"ordering-as-choice: for {legal}; {form} holds an ordering as it is")
    questions = [
        (bank, question)
        for bank in banks
        for question in (plain(original, seed) for original in bank.questions)
        if writer.holds(question)
    ]
    if not questions:
        raise LabError(f"export: no question that {form} can hold")
    with written_aside(_target(path)) as aside:
        writer.write(Exported(tuple(questions), ordering_as_choice), aside)
    return len(questions)


def _target(path: Path) -> Path:
    """Return the file to write: behind a symbolic link, the one that it names."""
    with friendly_os_errors(path):
        if path.is_dir():
            raise LabError(f"output: {path} is a folder; give the name of a file")
        if path.exists() and not path.is_file():
            raise LabError(f"output: {path} is no ordinary file; give the name of another")
        # realpath, since Path.resolve raises where links go round in a circle.
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise LabError(f"output: {path} is a link that leads to itself")
        return target if path.is_symlink() else path


def left_out(banks: Sequence[Bank], form: str, seed: int = 0) -> list[str]:
    """Return the ids of the questions that the format cannot hold."""
    holds = _writer(form).holds
    questions = [plain(question, seed) for bank in banks for question in bank.questions]
    return [question.id for question in questions if not holds(question)]


def lost(
    banks: Sequence[Bank], form: str, seed: int = 0, *, ordering_as_choice: bool = False
) -> list[Loss]:
    """Return what the format loses or changes of the questions that it holds."""
    holds = _writer(form).holds
    held = [
        (bank, question)
        for bank in banks
        for question in bank.questions
        if holds(plain(question, seed))
    ]
    return losses(held, form, ordering_as_choice=ordering_as_choice)


def _writer(form: str) -> Writer:
    if form not in WRITERS:
        raise choice_error("format", form, WRITERS)
    return WRITERS[form]
