"""Every lesson, once each: `lesson` is the notebook's path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from grouping import group_of, groups

from tools import notebooks


@pytest.fixture(scope="session")
def student_home() -> Iterator[Path]:
    """The home of a student who takes the lessons in order: what 00 trained, 04 finds."""
    with notebooks.scratch_home() as home:
        yield home


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `lesson` each notebook; those that train count as slow.

    Side by side, a lesson stays with one worker, where its solved pass finds what it trained, and
    so do lessons that share a run. The last lessons are the longest: they start first, or one
    worker would end alone with them.
    """
    if "lesson" not in metafunc.fixturenames:
        return
    lessons = []
    for path in sorted(notebooks.FOLDER.glob("*.ipynb"), key=turn_of):
        slow = notebooks.trains(notebooks.read(path)) and "runs_lesson" in metafunc.fixturenames
        marks = [pytest.mark.slow] if slow else []
        if "runs_lesson" in metafunc.fixturenames:
            marks.append(pytest.mark.xdist_group(group_of(path.stem)))
        lessons.append(pytest.param(path, id=path.stem, marks=marks))
    metafunc.parametrize("lesson", lessons)


def turn_of(lesson: Path) -> tuple[int, str]:
    """Return what sorts the lessons: late ones first, those of one group in their order."""
    order = [source.stem for source in notebooks.sources()]
    last = groups()[group_of(lesson.stem)][-1]
    return -order.index(last), lesson.stem
