"""`check_handin(folder)`: each criterion met, not met with why, or not to be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labs_lib.assessment.outcomes import CORRECT, INCORRECT, NOT_ATTEMPTED
from labs_lib.assessment.progress import record_answer
from labs_lib.errors import LabError
from labs_lib.handin.contents import Handed
from labs_lib.handin.criteria import CRITERIA
from labs_lib.tables import Table

ITEM = "07.hand-in"
_WORDS = {True: "met", False: "not met", None: "cannot be told"}


@dataclass(frozen=True)
class Criterion:
    """One line of the rubric: `met` is None where it cannot be told; `why` is a sentence."""

    name: str
    met: bool | None
    why: str


@dataclass(frozen=True)
class Rubric:
    """What was found in a hand-in, criterion by criterion; a notebook shows it as a table.

    `note` says why the outcome is not in the progress file, where it should be and is not.
    """

    criteria: tuple[Criterion, ...]
    blank: bool = False
    note: str = ""

    @property
    def met(self) -> int:
        """Return how many criteria are met."""
        return sum(each.met is True for each in self.criteria)

    @property
    def outcome(self) -> str:
        """Return "correct" if all criteria are met; "not attempted" before a word is said."""
        if self.blank:
            return NOT_ATTEMPTED
        return CORRECT if self.met == len(self.criteria) else INCORRECT

    def of(self, name: str) -> Criterion:
        """Return a criterion by its name."""
        return next(each for each in self.criteria if each.name == name)

    def table(self) -> Table:
        """Return a table: criterion, whether it is met, why."""
        return Table.of(
            (f"{self.met} of {len(self.criteria)} met", "", "why"),
            [(each.name, _WORDS[each.met], each.why) for each in self.criteria],
        )

    def __repr__(self) -> str:
        return "\n".join([repr(self.table()), *([self.note] if self.note else [])])

    def _repr_html_(self) -> str:
        from html import escape

        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return self.table()._repr_html_() + note


def check_handin(folder: str | Path, *, record: bool = True) -> Rubric:
    """Judge what was handed in, by code alone; nothing in the folder is run.

    `folder` is what `write_handin` makes: handin.json (or .yaml), run.json, adapter/, README.md
    and data/. A file that is missing or damaged leaves a criterion unmet or untold, with the
    reason, and the others are judged all the same. Scores are computed anew from the answers. With
    `record` the outcome goes into the progress file, unless the student has said nothing yet.
    """
    try:
        handed = Handed(folder)
    except LabError as error:
        return Rubric(tuple(Criterion(name, None, str(error)) for name in CRITERIA), blank=True)
    rubric = Rubric(tuple(_judged(name, handed) for name in CRITERIA), _is_blank(handed))
    if not record or rubric.blank:
        return rubric
    met = {each.name: each.met for each in rubric.criteria}
    note = record_answer(ITEM, met, outcome=rubric.outcome)
    return Rubric(rubric.criteria, note=note)


def _judged(name: str, handed: Handed) -> Criterion:
    try:
        return Criterion(name, *CRITERIA[name](handed))
    except LabError as error:
        return Criterion(name, None, str(error))


def _is_blank(handed: Handed) -> bool:
    try:
        return handed.said.is_blank
    except LabError:
        return False
