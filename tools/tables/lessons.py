"""The lessons: number, title, what they are for and how long they take, from their sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labs_lib.assessment.lesson_ids import is_optional
from labs_lib.errors import LabError
from tools import notebooks
from tools.tables.markdown import table

TITLE = re.compile(r"^# (\w+) · (.+)$", re.MULTILINE)
GOAL = re.compile(r"^- (.+(?:\n  .+)*)$", re.MULTILINE)
TIME = re.compile(r"^\*\*Time:\*\* about ([^;,.]+?)(?: for you)?[;,.]", re.MULTILINE)


@dataclass(frozen=True)
class Lesson:
    """What a lesson's first cell says of it."""

    number: str
    title: str
    goals: tuple[str, ...]
    duration: str
    notebook: str

    @property
    def name(self) -> str:
        """Return its number and title, and whether it is optional."""
        return f"{self.number} {self.title}{' (optional)' if is_optional(self.number) else ''}"


def lesson_of(source: Path) -> Lesson:
    """Read a lesson's first cell.

    Raises `LabError` where it lacks the title, the goals or the time.
    """
    first_cell = notebooks.read(source).cells[0].source
    title, goals, time = TITLE.search(first_cell), GOAL.findall(first_cell), TIME.search(first_cell)
    if not (title and goals and time):
        raise LabError(
            f"{source.name}: the first cell should have '# NN · Title', a list of goals "
            "('- say what …,') and '**Time:** about …'"
        )
    return Lesson(
        number=title[1],
        title=title[2],
        goals=tuple(" ".join(goal.split()).rstrip(",.") for goal in goals),
        duration=time[1],
        notebook=f"notebooks/{notebooks.notebook_of(source).name}",
    )


def lessons(folder: Path = notebooks.FOLDER) -> str:
    """Return the table of all lessons, in order."""
    return table(
        ("lesson", "after it you can", "time"),
        [
            (
                f"[{lesson.name}]({lesson.notebook})",
                "; ".join(lesson.goals) + ".",
                lesson.duration,
            )
            for lesson in map(lesson_of, notebooks.sources(folder))
        ],
    )
