"""Every lesson, once each: `lesson` is the notebook's path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs_lib import notebooks


@pytest.fixture(scope="session")
def student_home() -> Iterator[Path]:
    """The home of a student who takes the lessons in order: what 00 trained, 04 finds."""
    with notebooks.scratch_home() as home:
        yield home


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `lesson` each notebook; those that train count as slow."""
    if "lesson" not in metafunc.fixturenames:
        return
    lessons = []
    for path in sorted(notebooks.FOLDER.glob("*.ipynb")):
        slow = notebooks.trains(notebooks.read(path)) and "runs_lesson" in metafunc.fixturenames
        marks = [pytest.mark.slow] if slow else []
        lessons.append(pytest.param(path, id=path.stem, marks=marks))
    metafunc.parametrize("lesson", lessons)
