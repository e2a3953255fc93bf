"""Lay the student's copies of the lessons into `workbook/`, and never over a student's work.

`LABS_WORKBOOK` names another folder. Beside the copies, `.laid` keeps what was laid there last. A
copy that still holds the same cells is the author's, and follows the author's text; any other file
is the student's, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from labs_lib import paths
from labs_lib.errors import LabError, choice_error
from labs_lib.files import friendly_os_errors, written_aside
from labs_lib.texts import UnreadableError
from labs_lib.workbook.copies import copy_text, files_shown
from labs_lib.workbook.documents import parse_notebook, work_in

FOLDER = paths.WORKBOOK
_RECORD = ".laid"


class State(Enum):
    """What laying a copy found or did; the value says it to a person."""

    LAID = "new"
    RENEWED = "renewed, you had not changed it"
    AS_LAID = "as the author wrote it"
    YOURS = "yours"


@dataclass(frozen=True)
class Copy:
    """A file of the workbook: its place, the place of its record, and what the author gives."""

    file: Path
    record: Path
    content: bytes

    def lay(self) -> State:
        """Write the author's content where no work of the student's is; say what was done."""
        state = self.state()
        if state in (State.LAID, State.RENEWED):
            self.write(self.content)
        if state is not State.YOURS and content_of(self.record) != self.content:
            self.note()
        return state

    def state(self) -> State:
        """Return what `lay` would do."""
        if not self.file.exists() and not self.file.is_symlink():
            return State.LAID
        if _holds(self.file, self.content):
            return State.AS_LAID
        laid = content_of(self.record)
        untouched = laid is not None and _holds(self.file, laid)
        return State.RENEWED if untouched else State.YOURS

    def has_update(self) -> bool:
        """Return whether the author's content is not what was laid here last."""
        return content_of(self.record) != self.content

    def write(self, content: bytes) -> None:
        """Put a content in place of the file; it is never half-written."""
        _write(self.file, content)

    def note(self) -> None:
        """Record that the author's content is laid."""
        _write(self.record, self.content)


@dataclass(frozen=True)
class Lesson:
    """A lesson of a course: the author's executed edition, and the student's copy of it."""

    course: Path
    edition: Path

    @property
    def name(self) -> str:
        """The lesson's name, such as "02_lora_math"."""
        return self.edition.stem

    @property
    def number(self) -> str:
        """What the lesson's name begins with, such as "02"."""
        return self.name.partition("_")[0]

    @property
    def file(self) -> Path:
        """The student's copy."""
        return paths.workbook_dir(self.course) / self.edition.name

    def copy(self) -> Copy:
        """Return the student's copy with what the author gives now.

        Raises `LabError` where the edition is no notebook.
        """
        return self._copy(Path(self.edition.name), copy_text(self.edition).encode())

    def lay(self) -> tuple[Copy, State]:
        """Lay the student's copy, and beside it what the text shows; return what was done to it.

        Raises `LabError` where a file cannot be written; what was laid before it stays.
        """
        copy = self.copy()
        state = copy.lay()
        for shown in self.shown():
            shown.lay()
        return copy, state

    def shown(self) -> list[Copy]:
        """Return the pictures and other files that the text shows or links."""
        folder = self.edition.parent
        return [self._copy(p, (folder / p).read_bytes()) for p in files_shown(self.edition)]

    def _copy(self, place: Path, content: bytes) -> Copy:
        workbook = paths.workbook_dir(self.course)
        return Copy(workbook / place, workbook / _RECORD / place, content)


@dataclass(frozen=True)
class Laid:
    """What became of a lesson's copy, and whether the author has a newer text than the student."""

    lesson: Lesson
    state: State
    update: bool


def lay(course: Path) -> list[Laid]:
    """Lay what is missing and renew what the student has not changed; return what became of each.

    Raises `LabError` where a file cannot be written; what was laid before it stays.
    """
    laid = []
    for lesson in lessons_of(course):
        copy, state = lesson.lay()
        laid.append(Laid(lesson, state, copy.has_update()))
    return laid


def lessons_of(course: Path) -> list[Lesson]:
    """Return the lessons of a course's folder, in order: what has a source and was executed.

    Any other notebook there is somebody's own, such as a copy that was made to try something.
    """
    folder = course / "notebooks"
    editions = [folder / f"{source.stem}.ipynb" for source in (folder / "source").glob("*.py")]
    return [Lesson(course, edition) for edition in sorted(editions) if edition.is_file()]


def find_lesson(course: Path, name: str) -> Lesson:
    """Return a lesson by its number, "02", or its name, "02_lora_math" or "02_lora_math.ipynb".

    Raises `LabError` with the nearest number or name.
    """
    lessons = lessons_of(course)
    for lesson in lessons:
        if name in (lesson.number, lesson.name, lesson.file.name):
            return lesson
    names = [lesson.name for lesson in lessons]
    raise choice_error("lesson", name, [lesson.number for lesson in lessons], names)


def course_folder() -> Path:
    """Return the course's folder: `LABS_COURSE`, or the one that this folder or package is in.

    Raises `LabError` where there is none: the lessons are no part of an installed package.
    """
    if (named := paths.named_course()) is not None:
        if not lessons_of(named):
            raise LabError(f"LABS_COURSE: {named} holds no lessons; name the course's folder")
        return named
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "course.py").is_file() and (folder / "notebooks" / "source").is_dir():
            return folder
    if (checkout := paths.checkout()) is not None:
        return checkout
    raise LabError(
        f"the lessons are in the course's folder, and {here} is not in one; go there first"
    )


def content_of(file: Path) -> bytes | None:
    """Return what a file holds; None where there is none, or none that can be read."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def _holds(file: Path, content: bytes) -> bool:
    """Return whether a file holds a content and no work on it.

    JupyterLab writes a notebook that was only looked at in its own way, with its kernel's version.
    """
    there = content_of(file)
    if there is None or there == content or file.suffix != ".ipynb":
        return there == content
    try:
        return work_in(parse_notebook(file, there)) == work_in(parse_notebook(file, content))
    except UnreadableError:
        return False


def _write(file: Path, content: bytes) -> None:
    with written_aside(file) as aside, friendly_os_errors(file):
        aside.write_bytes(content)
