"""Who sent a file, by where it lies: Moodle's and Canvas' names, a hub's homes, a plain folder."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labs_lib.errors import LabError
from labs_lib.texts import decode, read_bytes

LARGEST_ROSTER_BYTES = 2**22
# Moodle: "Ada Lovelace_4711_assignsubmission_file_/hand-in.zip", or that name before the file's.
_MOODLE = re.compile(r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_file_?[/_]?")
# Canvas: "lovelaceada_LATE_4711_98765_hand-in-ada.zip".
_CANVAS = re.compile(r"(?P<name>[^_/]+)_(?P<late>LATE_|late_)?(?P<id>\d+)_\d+_.+\.zip$", re.I)
_PLAIN = re.compile(r"(?:hand-in-)(?P<student>.+?)(?: ?\(\d+\))?\.zip$", re.I)
# Of a roster's columns: what each is called in Canvas' and Moodle's own exports.
_COLUMNS = {
    "student": ("student", "id number", "sis user id", "student id", "username", "id"),
    "name": ("name", "full name", "student name", "display name"),
    "canvas": ("canvas", "canvas id", "canvas user id"),
    "email": ("email", "email address"),
}


@dataclass(frozen=True)
class Member:
    """A student on the class list: number or name, full name, Canvas' id, e-mail address."""

    student: str
    name: str = ""
    canvas: str = ""
    email: str = ""


@dataclass(frozen=True)
class Sender:
    """Who a file's place says has sent it; `student` is "" where it does not say."""

    student: str = ""
    name: str = ""
    late: bool = False
    system: str = ""


def read_roster(path: Path) -> tuple[Member, ...]:
    """Return the class list of a CSV file with a column `student`; `name`, `canvas`, `email` help.

    Canvas' and Moodle's own names of these columns do as well. Raises LabError, with the line.
    """
    text = decode(read_bytes(path, LARGEST_ROSTER_BYTES))
    rows = csv.DictReader(io.StringIO(text))
    names = {" ".join(name.lower().split()): name for name in rows.fieldnames or () if name}
    columns = {
        field: next((names[each] for each in known if each in names), None)
        for field, known in _COLUMNS.items()
    }
    if columns["student"] is None:
        found = ", ".join(rows.fieldnames or ()) or "nothing"
        raise LabError(f"--class: {path.name} needs a column `student`; it has {found}")
    members: dict[str, Member] = {}
    try:
        for row in rows:
            fields = {k: (row.get(c) or "").strip() for k, c in columns.items() if c}
            student = fields["student"]
            if not student:
                continue
            if student in members:
                raise LabError(f"--class: {path.name}:{rows.line_num}: {student} is there twice")
            members[student] = Member(**fields)
    except csv.Error as error:
        raise LabError(f"--class: {path.name}:{rows.line_num}: {error}") from None
    if not members:
        raise LabError(f"--class: {path.name} lists nobody")
    return tuple(members.values())


def sender_of(path: str, roster: Iterable[Member], homes: bool = False) -> Sender:
    """Return who has sent the file at `path`, by the forms of names that systems give.

    With `homes` the first folder of the path is the student's own. Where the system's name is
    nobody's on the class list, or there is no list, `student` is that name: it tells senders
    apart, whatever their files say.
    """
    members = tuple(roster)
    if homes and "/" in path:
        return Sender(path.partition("/")[0], system="hub")
    if found := _MOODLE.search(path):
        name = found["name"].rpartition("/")[2]
        known = [each for each in members if _folded(each.name) == _folded(name)]
        return Sender(known[0].student if len(known) == 1 else name, name, system="Moodle")
    file = path.rpartition("/")[2]
    if found := _CANVAS.match(file):
        known = [each for each in members if each.canvas and each.canvas == found["id"]]
        known = known or [each for each in members if _squeezed(each.name) == found["name"].lower()]
        student = known[0].student if len(known) == 1 else found["name"]
        return Sender(student, found["name"], bool(found["late"]), "Canvas")
    plain = _PLAIN.match(file)
    return Sender(plain["student"] if plain else "", system="folder")


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _squeezed(name: str) -> str:
    """Return a name as Canvas writes it before a file's: last name first, without spaces."""
    parts = name.casefold().split()
    return "".join([*parts[-1:], *parts[:-1]])
