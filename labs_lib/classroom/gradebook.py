"""The gradebook's files: one of the course's own, one that Canvas imports, one that Moodle does.

A cell that begins like a formula gets an apostrophe before it: a student's name is no program.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from labs_lib.classroom.collecting import Collected
from labs_lib.classroom.records import GRADEBOOK_FILE, Graded, GradedStudent
from labs_lib.files import write_text

CANVAS_FILE, MOODLE_FILE = "canvas.csv", "moodle.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_gradebook(graded: Graded, collected: Collected, out: Path) -> None:
    """Write `gradebook.csv`, `canvas.csv` and `moodle.csv`."""
    known = {student.student: student for student in collected.students}
    write_text(out / GRADEBOOK_FILE, _table(_own(graded)))
    title = f"LoRA Lab {graded.release.id}"
    possible = graded.students[0].possible if graded.students else 0.0
    canvas: list[Sequence[object]] = [
        ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", title),
        ("    Points Possible", "", "", "", "", _number(possible)),
    ]
    moodle: list[Sequence[object]] = [
        ("ID number", "Full name", "Email address", title, f"{title} feedback")
    ]
    for student in graded.students:
        member = known[student.student]
        name = student.name or student.student
        points = _number(student.points) if student.handed_in else ""
        canvas.append((name, member.canvas, student.student, "", "", points))
        remarks = "; ".join(_remarks(student, graded.walls))
        moodle.append((student.student, name, member.email, points, remarks))
    write_text(out / CANVAS_FILE, _table(canvas))
    write_text(out / MOODLE_FILE, _table(moodle))


def _own(graded: Graded) -> Iterable[Sequence[object]]:
    lessons = graded.release.lessons
    items = [item.id for item in graded.release.items]
    yield (
        "student", "name", "handed in", "late", "points", "possible", "percent",
        *(f"lesson {lesson}" for lesson in lessons), *items, "remarks", "walls",
    )  # fmt: skip
    for place, student in enumerate(graded.students):
        own = graded.answers[place * len(items) : (place + 1) * len(items)]
        by_lesson = [sum(each.points for each in own if each.lesson == name) for name in lessons]
        percent = 100 * student.points / student.possible if student.possible else 0.0
        yield (
            student.student, student.name, "yes" if student.handed_in else "no",
            "yes" if student.late else "no", _number(student.points), _number(student.possible),
            f"{percent:.1f}", *map(_number, by_lesson), *(_number(each.points) for each in own),
            "; ".join(_remarks(student, "")), graded.walls,
        )  # fmt: skip


def _remarks(student: GradedStudent, walls: str) -> list[str]:
    remarks = list(student.remarks)
    if student.late:
        remarks.insert(0, "handed in late")
    if walls.startswith("none"):
        remarks.append("graded without walls (--unsafe)")
    return remarks


def _table(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[_cell(str(each)) for each in row] for row in rows])
    return text.getvalue()


def _cell(text: str) -> str:
    is_number = text.lstrip("-").replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text


def _number(points: float) -> str:
    return f"{points:g}"
