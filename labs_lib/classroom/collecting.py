"""`labs class collect`: hand-ins brought together; who is missing, late, twice or not from here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from labs_lib.classroom.archives import Sent, read_hand_in, sent_files
from labs_lib.classroom.records import Count, HandedIn, Line, Name, Record, Release, read_record
from labs_lib.classroom.senders import Member, Sender, sender_of
from labs_lib.errors import LabError, shorten
from labs_lib.files import folder_written_aside

COLLECTED_FILE = "collected.json"
_HAND_INS = "hand-ins"


class CollectedStudent(Record):
    """A student of the class, and the file of the hand-in that counts; "" where there is none."""

    student: Name
    name: Line = ""
    canvas: Line = ""
    email: Line = ""
    file: Line = ""
    late: bool = False
    remarks: tuple[Line, ...] = ()


class Collected(Record):
    """`collected.json`: the students in order, and what came that is nobody's hand-in."""

    release: Name
    files: Count
    students: tuple[CollectedStudent, ...]
    strays: tuple[Line, ...] = ()

    def of(self, kind: str) -> list[str]:
        """Return the students who are "missing", "late" or handed in "twice"."""
        tests = {
            "missing": lambda each: not each.file,
            "late": lambda each: each.late,
            "twice": lambda each: any("hand-ins" in remark for remark in each.remarks),
        }
        return [each.student for each in self.students if tests[kind](each)]


@dataclass
class _Found:
    """What has come from one student, in order of coming."""

    handed: list[tuple[Sent, Sender, HandedIn]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def collect(
    sources: Sequence[Path],
    release: Release,
    out: Path,
    roster: Sequence[Member] = (),
    *,
    homes: bool = False,
) -> Collected:
    """Read hand-ins from folders and archives, and write those that count into `out`.

    Who has sent a file is what the learning platform, the hub or the file's name says; a hand-in
    that names another student is nobody's. Raises LabError for a source or an `out` that is no
    place for it; what students sent raises nothing.
    """
    if out.exists() and not (out / COLLECTED_FILE).is_file() and any(out.iterdir()):
        raise LabError(f"--out: {out} holds other files; name a new folder")
    found = {member.student: _Found() for member in roster}
    strays: list[str] = []
    files = 0
    for source in sources:
        for sent in sent_files(source):
            files += 1
            _place(sent, sender_of(sent.path, roster, homes), release, found, strays, bool(roster))
    chosen = {student: _latest(each) for student, each in found.items()}
    _compare(chosen, found)
    members = {member.student: member for member in roster}
    with folder_written_aside(out) as aside:
        (aside / _HAND_INS).mkdir()
        students: list[CollectedStudent] = []
        for student in sorted(found):
            member = members.get(student, Member(student))
            last = chosen[student]
            file = "" if last is None else f"{_HAND_INS}/{_digest(student.encode())[:20]}.json"
            if last is not None:
                (aside / file).write_text(last[2].model_dump_json(), encoding="utf-8")
            students.append(
                CollectedStudent(
                    student=student,
                    name=(member.name or (last[2].name if last else ""))[:300],
                    canvas=member.canvas[:300],
                    email=member.email[:300],
                    file=file,
                    late=last is not None and _is_late(last[0], last[1], release),
                    remarks=tuple(remark[:300] for remark in found[student].remarks),
                )
            )
        collected = Collected(
            release=release.id, files=files, students=tuple(students), strays=tuple(strays)
        )
        collected.write(aside / COLLECTED_FILE)
    return collected


def read_collected(folder: Path) -> Collected:
    """Return what was collected into a folder; LabError where nothing was."""
    path = folder / COLLECTED_FILE
    if not path.is_file():
        raise LabError(f"grade: no {COLLECTED_FILE} in {folder}; `labs class collect` writes it")
    return read_record(Collected, path)


def _place(
    sent: Sent,
    sender: Sender,
    release: Release,
    found: dict[str, _Found],
    strays: list[str],
    closed: bool,
) -> None:
    """Put a file with the student who has sent it, or among the strays, with the reason."""

    def stray(reason: str) -> None:
        strays.append(f"{shorten(sent.path, 120)}: {reason}"[:300])
        if sender.student in found:
            found[sender.student].remarks.append(f"a file is no hand-in: {reason}"[:300])

    if sent.content is None:
        stray(sent.why)
        return
    try:
        handed = read_hand_in(sent.content, "hand-in")
    except LabError as error:
        stray(str(error).removeprefix("hand-in: "))
        return
    if handed.release != release.id:
        stray(f"not from this release but from {shorten(handed.release)}")
        return
    student = sender.student or handed.student
    if closed and student not in found:
        stray(f"{shorten(student)} is not on the class list")
        return
    theirs = handed.student
    told_by_name = sender.system in ("Moodle", "Canvas") and not closed
    if student != theirs and not told_by_name:
        stray(f"sent by {shorten(student)}, and it is the hand-in of {shorten(theirs)}")
        return
    each = found.setdefault(student[:200], _Found())
    if student != theirs:
        each.remarks.append(f"the hand-in calls its student {shorten(theirs)}")
    each.handed.append((sent, sender, handed))


def _latest(found: _Found) -> tuple[Sent, Sender, HandedIn] | None:
    """Return the hand-in that came last, and remark where there are several."""
    if not found.handed:
        return None
    if len(found.handed) > 1:
        found.remarks.append(f"{len(found.handed)} hand-ins came; the last one counts")
    return max(found.handed, key=lambda each: (_moment(each[0].time), each[0].path))


def _compare(
    chosen: dict[str, tuple[Sent, Sender, HandedIn] | None], found: dict[str, _Found]
) -> None:
    """Remark where two students have handed in one work, or were asked with one seed."""
    works = {student: each[2] for student, each in chosen.items() if each is not None}
    for others, said in (
        (_alike(works, _work), "the same answers and cells as"),
        (_alike(works, lambda each: str(each.seed)), "the same seed as"),
    ):
        for group in others:
            for student in group:
                names = [shorten(each) for each in group if each != student]
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                found[student].remarks.append(f"{said} {', '.join(names[:3])}{more}")


def _alike(works: dict[str, HandedIn], key: Callable[[HandedIn], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for student in sorted(works):
        groups.setdefault(key(works[student]), []).append(student)
    return [group for group in groups.values() if len(group) > 1]


def _work(handed: HandedIn) -> str:
    """Return a fingerprint of what a student did, whoever it is said to be."""
    parts = {"responses", "cells"} if handed.responses else {"cells", "student"}
    return _digest(handed.model_dump_json(include=parts).encode())


def _is_late(sent: Sent, sender: Sender, release: Release) -> bool:
    if sender.late:
        return True
    if not release.due or sent.time is None:
        return False
    return sent.time > datetime.fromisoformat(release.due)


def _moment(time: datetime | None) -> float:
    return 0.0 if time is None else time.timestamp()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
