"""`labs hand-in`: a student's work on a release, in one file."""

from __future__ import annotations

import hashlib
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

from labs_lib.assessment.event_rows import Event
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.progress import read_events, student_seed
from labs_lib.classroom.keys import check_signature
from labs_lib.classroom.records import (
    HAND_IN_FILE,
    LARGEST_BYTES,
    RELEASE_FILE,
    GivenResponse,
    HandedCell,
    HandedIn,
    HandedPrediction,
    HandedRun,
    Release,
    read_record,
)
from labs_lib.errors import LabError, shorten
from labs_lib.files import written_aside
from labs_lib.jsons import read_json
from labs_lib.paths import release_dir, runs_dir
from labs_lib.texts import UnreadableError
from labs_lib.workbook.documents import read_notebook

LARGEST_RUN_BYTES = 2**20
MOST_RUNS = 50
LONGEST_SOURCE = 100_000
_STUDENT = re.compile(r"[\w@][\w.@+-]{0,99}")
# A zip knows no year before; the same work gives the same file.
_DATE = (1980, 1, 1, 0, 0, 0)


def released_here() -> tuple[Release, Path]:
    """Return the release whose folder the current folder is in, and that folder.

    Raises LabError where there is none, and where it is not as its instructor signed it.
    """
    folder = release_dir()
    if folder is None:
        raise LabError(f"no release here: go to the folder with {RELEASE_FILE} that you were given")
    release = read_record(Release, folder / RELEASE_FILE)
    check_signature(release)
    return release, folder


def hand_in(release: Release, folder: Path, student: str, name: str = "") -> HandedIn:
    """Return a student's work on a release: answers, cells, predictions and runs.

    `student` is the number or name that the class knows the student by. Raises LabError for one
    that no file can be named after, and for a notebook that cannot be read.
    """
    if not _STUDENT.fullmatch(student):
        legal = "letters, digits and . @ + - _, at most 100"
        raise LabError(f"--student: {shorten(student)} is not legal; {legal}")
    events, _ = read_events()
    return HandedIn(
        release=release.id,
        student=student,
        name=name[:300],
        seed=student_seed(),
        made=datetime.now().astimezone().isoformat(timespec="seconds"),
        responses=tuple(_responses(release, events)),
        cells=tuple(cell for lesson in release.lessons for cell in _cells(folder, lesson)),
        predictions=tuple(_predictions(release, events)),
        runs=tuple(_runs()),
    )


def write_hand_in(handed: HandedIn, path: Path) -> None:
    """Write the file that is handed in; LabError where the work is larger than can be graded."""
    content = handed.model_dump_json(indent=1).encode()
    if len(content) > LARGEST_BYTES:
        size = f"{len(content) / 2**20:.1f} MiB; at most {LARGEST_BYTES // 2**20}"
        raise LabError(f"hand-in: it would hold {size}; remove what is no part of the lessons")
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(HAND_IN_FILE, _DATE), content, zipfile.ZIP_DEFLATED)


def _responses(release: Release, events: list[Event]) -> list[GivenResponse]:
    known = {item.id for item in release.items}
    return [
        GivenResponse(
            item=event["id"],
            response=event.get("response"),
            seed=event.get("seed", 0),
            time=event["time"],
            hints=event.get("hints", 0),
            confidence=event.get("confidence") or "",
            cut="response_sha256" in event,
        )
        for event in events
        if event["event"] == "answer" and event["id"] in known
    ]


def _predictions(release: Release, events: list[Event]) -> list[HandedPrediction]:
    return [
        HandedPrediction(id=event["id"], value=event.get("value"), time=event["time"])
        for event in events
        if event["event"] == "prediction" and lesson_id(event["id"]) in release.lessons
    ]


def _cells(folder: Path, lesson: str) -> list[HandedCell]:
    """Return the code cells of a lesson's notebook, in order."""
    found = sorted(path for path in folder.glob("*.ipynb") if lesson_id(path.name) == lesson)
    if not found:
        return []
    try:
        notebook = read_notebook(found[0])
    except UnreadableError as error:
        raise LabError(f"hand-in: {found[0].name}: {error.reason}") from None
    return [
        HandedCell(lesson=lesson, number=number, source=cell["source"])
        for number, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "code" and 0 < len(cell["source"]) <= LONGEST_SOURCE
    ]


def _runs() -> list[HandedRun]:
    """Return the student's runs, as their folders have them; what cannot be read is left out."""
    runs: list[HandedRun] = []
    for path in sorted(runs_dir().glob("*/run.json"))[:MOST_RUNS]:
        try:
            content: Any = read_json(path, LARGEST_RUN_BYTES)
        except UnreadableError:
            continue
        if isinstance(content, dict):
            hashes = {
                str(file.relative_to(path.parent)): _sha256(file)
                for file in sorted(path.parent.rglob("adapter*"))
                if file.is_file() and file.suffix in (".safetensors", ".json")
            }
            runs.append(HandedRun(name=path.parent.name[:200], run=content, adapter=hashes))
    return runs


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
