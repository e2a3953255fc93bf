"""What flows through a class: a release, what a student hands in, and what grading found.

Each is a frozen record that refuses a field it does not know and any number that is not finite;
its JSON is its file: `release.json`, `hand-in.json` in the zip, `graded.json` beside the gradebook.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from labs_lib.errors import LabError, explain_validation
from labs_lib.files import write_text
from labs_lib.jsons import parse_json, read_json

Feedback = Literal["now", "after", "none"]
FEEDBACKS: tuple[Feedback, ...] = ("now", "after", "none")
Status = Literal["correct", "incorrect", "not attempted", "error"]

RELEASE_FILE = "release.json"
HAND_IN_FILE = "hand-in.json"
GRADED_FILE = "graded.json"
GRADEBOOK_FILE = "gradebook.csv"
LARGEST_BYTES = 16 * 2**20
DEEPEST = 40
LARGEST_GRADED_BYTES = 512 * 2**20

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Line = Annotated[str, StringConstraints(max_length=300)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Source = Annotated[str, StringConstraints(max_length=100_000)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Read = TypeVar("_Read", bound="Record")


class Record(BaseModel):
    """A frozen record of a class, written as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def write(self, path: Path) -> None:
        """Write the record as indented JSON, aside first."""
        write_text(path, self.model_dump_json(indent=1) + "\n")


class ReleasedItem(Record):
    """One question or exercise of a release, and what a report says of it.

    `kind` is a question's kind, or "exercise"; `options` are what stands behind the letters of a
    choice or an order; `right` is the right answer as it is typed, of a question with no drawn
    numbers. The student's copy of a release carries neither `right` nor `misconceptions`.
    """

    id: Name
    lesson: Name
    kind: Name
    objective: Name
    difficulty: Count = 1
    prompt: Text
    options: dict[str, Text] = {}
    right: Text = ""
    misconceptions: dict[str, Text] = {}
    """Misconception → what the student who has it is told."""
    points: Annotated[float, Field(gt=0, le=1000)] = 1.0
    private: bool = False


class Release(Record):
    """What an instructor released: lessons, items, terms, and the signature over all of it.

    `id` names the release, `made` and `due` are ISO 8601 with their offset, `due` is empty where
    there is no date; `attempts` is how many answers to one item count, 0 for all; `files` is the
    SHA-256 of each file that students were given; `public_key` and `signature` are Ed25519, in hex.
    """

    id: Name
    made: Name
    lessons: tuple[Name, ...]
    due: Line = ""
    attempts: Count = 0
    feedback: Feedback = "now"
    items: Annotated[tuple[ReleasedItem, ...], Field(max_length=5000)]
    files: dict[str, Sha256] = {}
    public_key: Line = ""
    signature: Line = ""

    def item(self, item_id: str) -> ReleasedItem | None:
        """Return the item with this id, if the release has it."""
        return next((item for item in self.items if item.id == item_id), None)


class GivenResponse(Record):
    """An answer as the student's own file has it; only `response` is judged, and anew.

    `time`, `hints` and `confidence` are what the student's file says of it. `cut` tells that the
    file did not keep all of the answer, which then cannot be judged.
    """

    item: Name
    response: Any = None
    seed: Seed = 0
    time: Line = ""
    hints: Count = 0
    confidence: Line = ""
    cut: bool = False


class HandedCell(Record):
    """A code cell of the student's notebook, in its order there."""

    lesson: Name
    number: Count
    source: Source


class HandedPrediction(Record):
    """What a student predicted, and when, by the student's file."""

    id: Name
    value: Any = None
    time: Line = ""


class HandedRun(Record):
    """A run of the student's: its `run.json` and the SHA-256 of each file of its adapter."""

    name: Name
    run: dict[str, Any]
    adapter: dict[str, Sha256] = {}


class HandedIn(Record):
    """What a student hands in: a claim, line by line, of which nothing is believed."""

    release: Name
    student: Name
    name: Line = ""
    seed: Seed = 0
    made: Line = ""
    responses: Annotated[tuple[GivenResponse, ...], Field(max_length=20_000)] = ()
    cells: Annotated[tuple[HandedCell, ...], Field(max_length=5000)] = ()
    predictions: Annotated[tuple[HandedPrediction, ...], Field(max_length=5000)] = ()
    runs: Annotated[tuple[HandedRun, ...], Field(max_length=200)] = ()


class Try(Record):
    """One of the answers to a question: what it was worth when judged anew.

    `given` is as in `GradedAnswer`; `time` is the student's word.
    """

    outcome: Status
    given: Line = ""
    misconception: Line = ""
    confidence: Line = ""
    time: Line = ""


class GradedAnswer(Record):
    """What became of one item of one student's: the row that the gradebook and reports count.

    `given` is the answer's letters for a choice ("b", "a,c"), else its text, cut to one line;
    `misconception` the mistake that was recognized, a letter where the option names none.
    `attempts` counts the answers that were right or wrong; `points` are of `possible`. `time` is
    the student's word, `tries` are all answers that counted, in order (of an exercise there is at
    most one: its cell).
    """

    student: Name
    lesson: Name
    item: Name
    kind: Name
    outcome: Status
    attempts: Count = 0
    confidence: Line = ""
    hints: Count = 0
    given: Line = ""
    misconception: Line = ""
    message: Text = ""
    points: float = 0.0
    possible: float = 1.0
    time: Line = ""
    tries: tuple[Try, ...] = ()


class GradedStudent(Record):
    """A student of the class: points, and what an instructor should know of the hand-in.

    `remarks` are sentences: handed in late or twice, a seed that another student has too.
    """

    student: Name
    name: Line = ""
    handed_in: bool = True
    late: bool = False
    points: float = 0.0
    possible: float = 0.0
    remarks: tuple[Line, ...] = ()


class Graded(Record):
    """`graded.json`: a release, its students in order, and a row for every student and item.

    `walls` says behind what the students' code ran: "bubblewrap", "docker", "podman", or
    "none: --unsafe".
    """

    release: Release
    walls: Line
    students: tuple[GradedStudent, ...]
    answers: tuple[GradedAnswer, ...]


def read_graded(path: Path) -> Graded:
    """Return what grading found, from `graded.json` or from the folder that holds it.

    Raises LabError, in one line, for a file that is missing or damaged.
    """
    file = path / GRADED_FILE if path.is_dir() else path
    return validated(Graded, read_json(file, LARGEST_GRADED_BYTES), file.name)


def read_record(kind: type[_Read], path: Path) -> _Read:
    """Return the record that a JSON file holds; LabError in one line for anything else."""
    return validated(kind, read_json(path, LARGEST_BYTES), path.name)


def parse_record(kind: type[_Read], content: bytes, name: str) -> _Read:
    """Return the record that a JSON text holds; `name` is what an error calls it."""
    return validated(kind, parse_json(Path(name), content), name)


def validated(kind: type[_Read], content: Any, name: str) -> _Read:
    """Return plain JSON as a record; LabError names the field, the value and what is legal."""
    if not isinstance(content, dict):
        raise LabError(f"{name}: it holds no fields, such as {', '.join(kind.model_fields)}")
    if fault := _fault_in(content):
        raise LabError(f"{name}: {fault}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise explain_validation(error, kind, name) from None


def _fault_in(content: Any) -> str:
    """Return why plain JSON cannot be written again as it is; "" where it can."""
    ahead: list[tuple[Any, int]] = [(content, 0)]
    while ahead:
        part, depth = ahead.pop()
        if depth > DEEPEST:
            return f"nested more than {DEEPEST} deep"
        if isinstance(part, str):
            if not part.isascii() and any("\ud800" <= sign <= "\udfff" for sign in part):
                return "half a character, which no text holds"
        elif isinstance(part, float):
            if not math.isfinite(part):
                return "a number that is not finite"
        elif isinstance(part, dict):
            ahead += [(key, depth + 1) for key in part]
            ahead += [(value, depth + 1) for value in part.values()]
        elif isinstance(part, list):
            ahead += [(value, depth + 1) for value in part]
    return ""
