"""`labs class grade`: every answer judged anew, from responses and code; no log is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import load_banks
from labs_lib.classroom.answers import Work, graded_answer, work_of
from labs_lib.classroom.code_jobs import CodeJob, judge_all
from labs_lib.classroom.collecting import Collected, CollectedStudent, read_collected
from labs_lib.classroom.gradebook import write_gradebook
from labs_lib.classroom.judged import JudgedFile
from labs_lib.classroom.records import (
    GRADED_FILE,
    Graded,
    GradedStudent,
    HandedIn,
    Release,
    read_record,
)
from labs_lib.classroom.releasing import QUIZZES
from labs_lib.classroom.walls.ways import UNSAFE, Way
from labs_lib.errors import LabError

JUDGED_FILE = "judged.jsonl"


def grade_class(
    collected: Path,
    release: Release,
    kept: Path,
    out: Path,
    way: Way | None,
    *,
    side_by_side: int | None = None,
    start: Callable[[int], Any] = lambda _: None,
    done: Callable[[int], Any] = lambda _: None,
) -> Graded:
    """Grade what was collected, and write `gradebook.csv`, its forms and `graded.json` to `out`.

    `kept` is the instructor's folder of the release; `way` the walls around students' code, None
    for none. `start` is told how many pieces of code there are, `done` how many more are judged.
    What was judged before an interruption is in `out` and is not judged again; the same hand-ins
    give the same files. Raises LabError for what is no collection of this release.
    """
    found = read_collected(collected)
    if found.release != release.id:
        raise LabError(f"grade: {collected} holds hand-ins of {found.release}, not {release.id}")
    questions = {
        question.id: question
        for bank in load_banks(kept / QUIZZES).values()
        for question in bank.questions
    }
    out.mkdir(parents=True, exist_ok=True)
    works = [
        work_of(student.student, _handed(collected, student), release, questions)
        for student in found.students
    ]
    jobs = [job for work in works for job in work.jobs.values()]
    start(len(jobs))
    outcomes = judge_all(jobs, way, JudgedFile(out / JUDGED_FILE), side_by_side, done)
    graded = _graded(found, works, release, outcomes, UNSAFE if way is None else way.name)
    graded.write(out / GRADED_FILE)
    write_gradebook(graded, found, out)
    return graded


def _handed(folder: Path, student: CollectedStudent) -> HandedIn | None:
    return read_record(HandedIn, folder / student.file) if student.file else None


def _graded(
    found: Collected,
    works: list[Work],
    release: Release,
    outcomes: dict[CodeJob, Any],
    walls: str,
) -> Graded:
    answers = [
        graded_answer(work, item, outcomes, release.attempts)
        for work in works
        for item in release.items
    ]
    count = len(release.items)
    students: list[GradedStudent] = []
    for place, student in enumerate(found.students):
        own = answers[place * count : (place + 1) * count]
        students.append(
            GradedStudent(
                student=student.student,
                name=student.name,
                handed_in=bool(student.file),
                late=student.late,
                points=sum(each.points for each in own),
                possible=sum(each.possible for each in own),
                remarks=student.remarks,
            )
        )
    return Graded(release=release, walls=walls, students=tuple(students), answers=tuple(answers))
