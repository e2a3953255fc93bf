"""The lessons' own modules, from the folders `NN_slug` where banks and exercises stand.

`quizzes/05_qlora/exercises.py` is the module `labs_lib.assessment.lessons.05_qlora.exercises`,
installed or not. An ordinary import finds it by that name, in a new Python too: so a check that
runs apart from the notebook needs no more than the name. Within a lesson imports are relative.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.errors import LabError
from labs_lib.paths import lesson_dirs

EXERCISES = "exercises"

__path__ = [str(folder) for folder in lesson_dirs()]


def lesson_folders() -> dict[str, Path]:
    """Return lesson → folder for every lesson with exercises, in the order of the lessons.

    A lesson of the folder that `LABS_QUIZZES` names comes before the course's own of that number.
    Raises LabError for two folders of one number, and for a name that no module can have.
    """
    folders: dict[str, Path] = {}
    for home in reversed(lesson_dirs()):
        folders |= _folders_in(home)
    return dict(sorted(folders.items()))


def lesson_module(folder: Path, name: str) -> ModuleType:
    """Return the module `name` of a lesson's folder, one of `lesson_folders()`."""
    _follow_the_folders()
    return importlib.import_module(f"{__name__}.{folder.name}.{name}")


def _folders_in(home: Path) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for file in sorted(home.glob(f"*/{EXERCISES}.py")):
        folder, lesson = file.parent, lesson_id(file.parent.name)
        if not lesson or not folder.name.startswith(f"{lesson}_"):
            continue
        if "." in folder.name:
            raise LabError(
                f"{folder.name}: a lesson's folder is called NN_words or NNx_words, without a dot"
            )
        if lesson in folders:
            other = folders[lesson].name
            raise LabError(f"{folder.name}: lesson {lesson} already has its exercises in {other}")
        folders[lesson] = folder
    return folders


def _follow_the_folders() -> None:
    """Look where the lessons stand now; modules that came from elsewhere are forgotten."""
    current = [str(folder) for folder in lesson_dirs()]
    if current == __path__:
        return
    __path__[:] = current
    for name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
