"""Which lessons one worker takes in turn: those that read back what another of them trained."""

from __future__ import annotations

import re
from pathlib import Path

from tools import notebooks

RECIPE = re.compile(r'Recipe\.from_yaml\("recipes/([\w-]+)\.yaml"\)')


def groups(folder: Path = notebooks.FOLDER) -> dict[str, list[str]]:
    """Return name -> lessons of each group, in order; lessons of one recipe stand together."""
    groups: list[tuple[set[str], list[str]]] = []
    for source in notebooks.sources(folder):
        recipes, lessons = set(RECIPE.findall(source.read_text(encoding="utf-8"))), [source.stem]
        for group in [group for group in groups if group[0] & recipes]:
            groups.remove(group)
            recipes, lessons = group[0] | recipes, group[1] + lessons
        groups.append((recipes, lessons))
    return {name_of(lessons): sorted(lessons) for _, lessons in groups}


def name_of(lessons: list[str]) -> str:
    """Return the name of a group: the numbers of its lessons."""
    return "-".join(sorted(lesson.partition("_")[0] for lesson in lessons))


def group_of(lesson: str, folder: Path = notebooks.FOLDER) -> str:
    """Return the name of a lesson's group."""
    return next(name for name, lessons in groups(folder).items() if lesson in lessons)


def group_with(recipe: str, folder: Path = notebooks.FOLDER) -> str:
    """Return the name of the group that trains a recipe."""
    return next(
        group_of(source.stem, folder)
        for source in notebooks.sources(folder)
        if recipe in RECIPE.findall(source.read_text(encoding="utf-8"))
    )
