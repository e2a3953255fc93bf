"""How long each lesson takes a person, recomputed from what it holds.

    python -m tools.durations

A lesson takes the reading of its text at 150 words a minute, the time of its cells as recorded, and
3 or 10 minutes for an easy or a hard exercise; rounded up to 5 minutes. Its first cell says so, in
the words of `Duration.statement`; the exit status is 1 where one says anything else.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from labs_lib.assessment.cells import exercise_of
from labs_lib.assessment.exercises import find_exercise
from labs_lib.errors import LabError
from tools import notebooks

WORDS_PER_MINUTE = 150
ROUNDED_TO = 5
LONGEST_MEDIAN = 60
LONGEST_CORE = 7 * 60
STATED = re.compile(r"^\*\*Time:\*\* .*(?:\n.+)*", re.MULTILINE)
# The core path is 00 to 06; a letter after the digits marks what is optional.
_CORE = re.compile(r"0[0-6]_")


@dataclass(frozen=True)
class Duration:
    """What a lesson takes a person, and what the paragraph on it in its first cell says."""

    name: str
    words: int
    machine_seconds: float
    exercise_minutes: int
    stated: str

    @property
    def minutes(self) -> int:
        """Return the whole, in minutes, rounded up to 5."""
        reading = self.words / WORDS_PER_MINUTE
        whole = reading + self.machine_seconds / 60 + self.exercise_minutes
        return ROUNDED_TO * math.ceil(whole / ROUNDED_TO)

    @property
    def machine_minutes(self) -> int:
        """Return the minutes in which the machine works, rounded up."""
        return math.ceil(self.machine_seconds / 60)

    @property
    def statement(self) -> str:
        """Return what the lesson should say."""
        return (
            f"**Time:** about {self.minutes} minutes for you; the machine works for "
            f"{self.machine_minutes} of them on two laptop cores."
        )

    @property
    def is_core(self) -> bool:
        """Return whether the lesson is one that everybody takes."""
        return _CORE.match(self.name) is not None

    @property
    def problem(self) -> str:
        """Return what is wrong with what the lesson says, with the right words; else nothing."""
        if self.stated.startswith(self.statement):
            return ""
        return f"{self.name}: says {self.stated!r}, should say {self.statement!r}"


def duration_of(source: Path) -> Duration:
    """Return what a lesson takes, by its source and the recorded seconds of its cells.

    Raises `LabError` where none were recorded.
    """
    recorded = notebooks.recorded_seconds()
    if source.stem not in recorded:
        raise LabError(
            f"{source.stem}: no time of its cells is recorded; "
            f"run python3 course.py notebooks {source.stem}"
        )
    cells = notebooks.cells_of(notebooks.read(source))
    exercises = [exercise_of(text) for kind, text, _ in cells if kind == "code"]
    stated = STATED.search(cells[0][1])
    return Duration(
        name=source.stem,
        words=sum(len(text.split()) for kind, text, _ in cells if kind == "markdown"),
        machine_seconds=recorded[source.stem],
        exercise_minutes=sum(find_exercise(each).minutes for each in exercises if each),
        stated=" ".join(stated[0].split()) if stated else "",
    )


def durations(folder: Path = notebooks.FOLDER) -> list[Duration]:
    """Return what every lesson takes, in order."""
    return [duration_of(source) for source in notebooks.sources(folder)]


def too_long(lessons: list[Duration]) -> list[str]:
    """Return in what the course is longer than it may be, in one line each."""
    problems = []
    median = statistics.median(lesson.minutes for lesson in lessons)
    if median > LONGEST_MEDIAN:
        problems.append(f"the median lesson takes {median:g} minutes; at most {LONGEST_MEDIAN}")
    core = sum(lesson.minutes for lesson in lessons if lesson.is_core)
    if core > LONGEST_CORE:
        problems.append(f"lessons 00 to 06 take {core} minutes; at most {LONGEST_CORE}")
    return problems


def main() -> int:
    """Print the table and every problem; return the exit status."""
    try:
        lessons = durations()
    except LabError as error:
        print(f"durations: {error}", file=sys.stderr)
        return 2
    print(f"{'lesson':<28}{'words':>7}{'reading':>9}{'machine':>9}{'exercises':>11}{'minutes':>9}")
    for each in lessons:
        reading, machine = each.words / WORDS_PER_MINUTE, each.machine_seconds / 60
        print(
            f"{each.name:<28}{each.words:>7}{reading:>9.1f}{machine:>9.1f}"
            f"{each.exercise_minutes:>11}{each.minutes:>9}"
        )
    core = sum(each.minutes for each in lessons if each.is_core)
    print(f"lessons 00 to 06: {core} minutes; median: "
          f"{statistics.median(each.minutes for each in lessons):g}")  # fmt: skip
    problems = [each.problem for each in lessons if each.problem] + too_long(lessons)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
