"""A class of mutated hand-ins: released, collected, graded, compared with what must come out."""

from __future__ import annotations

import hashlib
import os
import socketserver
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutant_cells import reaches
from benchmarks.mutants import Course, Mutant, mutants, others, write
from labs_lib import paths
from labs_lib.assessment.banks import load_banks
from labs_lib.classroom.collecting import Collected, collect
from labs_lib.classroom.grading import grade_class
from labs_lib.classroom.records import Graded, GradedAnswer, Release
from labs_lib.classroom.releasing import find_release, make_release
from labs_lib.classroom.senders import Member
from labs_lib.classroom.walls.ways import Way

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a-secret-of-the-instructor"
_BANK = """\
lesson: "02"
title: Private
objectives: {secret: Know what is not in the course.}
questions:
  - {id: 02.private.number, kind: numeric, objective: secret, difficulty: 1, prompt: "How many?",
     hint: Count., explanation: Forty-two., source: none, answer: 42, tolerance: {absolute: 0.1}}
"""
# Where mutants try to leave something.
_LEFT = (Path("/tmp/left-behind"), Path("/tmp/labs-escaped"))


@dataclass
class Findings:
    """What came out: wrong grades and escapes, one line each, and how long it took."""

    mutants: list[Mutant]
    graded: Graded
    collected: Collected
    wrong: list[str] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)
    grading_seconds: float = 0.0

    def table(self) -> list[tuple[str, str, str, int, int]]:
        """Return rows: family, mutation, what caught it, how many, how many graded wrong."""
        rows: dict[tuple[str, str, str], list[bool]] = {}
        for mutant in self.mutants:
            row = rows.setdefault((mutant.family, mutant.name, mutant.caught_by), [])
            row.append(any(line.startswith(f"{mutant.student} ") for line in self.wrong))
        return [(*key, len(wrong), sum(wrong)) for key, wrong in sorted(rows.items())]


def released(folder: Path) -> tuple[Course, Path]:
    """Release two lessons and a private question; return the course of it, and what is kept."""
    if (folder / "release").is_dir():  # an interrupted check goes on
        release, kept = find_release(str(folder / "release"))
        return _course(release, kept), kept
    bank = folder / "02_private.yaml"
    bank.write_text(_BANK, encoding="utf-8")
    release = make_release(
        folder / "release", ["00", "02"], course=ROOT, bank=bank, feedback="after"
    )
    _, kept = find_release(release.id)
    return _course(release, kept), kept


def _course(release: Release, kept: Path) -> Course:
    banks = load_banks(kept / "quizzes")
    questions = {each.id: each for bank in banks.values() for each in bank.questions}
    return Course(release, questions, ())


def check_class(
    folder: Path, way: Way, count: int, seed: int = 18, done: Callable[[int], Any] = lambda _: None
) -> Findings:
    """Grade so many mutants in a folder and return what came out of it."""
    course, kept = released(folder)
    inbox = folder / "inbox"
    own_file = paths.PACKAGE / "colors.py"
    before = _sha256(own_file)
    with _server() as (port, connections), _variable("LABS_INSTRUCTOR_SECRET", SECRET):
        ways_out = reaches(str(inbox / "hand-in-s0000.zip"), str(own_file), port, SECRET)
        course = Course(course.release, course.questions, ways_out)
        made = list(mutants(course, count, seed))
        made += others(course, made)
        write(made, inbox)
        roster = [Member(mutant.student) for mutant in made]
        collected = collect([inbox], course.release, folder / "collected", roster)
        begun = time.monotonic()
        graded = grade_class(
            folder / "collected", course.release, kept, folder / "graded", way, done=done
        )
        seconds = time.monotonic() - begun
    findings = Findings(made, graded, collected, grading_seconds=seconds)
    findings.wrong = list(_wrong(made, graded, collected))
    findings.escapes += [f"{path} was left behind" for path in _LEFT if path.exists()]
    findings.escapes += ["a student's code reached a server"] * bool(connections)
    findings.escapes += ["the course was changed"] * (_sha256(own_file) != before)
    return findings


def _wrong(made: list[Mutant], graded: Graded, collected: Collected) -> Generator[str]:
    """Yield what is not as it must be, a line each."""
    rows: dict[str, list[GradedAnswer]] = {}
    for answer in graded.answers:
        rows.setdefault(answer.student, []).append(answer)
    students = {each.student: each for each in collected.students}
    for mutant in made:
        student = students[mutant.student]
        if bool(student.file) != mutant.graded:
            yield f"{mutant.student} {mutant.name}: taken for a hand-in: {bool(student.file)}"
        if not mutant.graded and not student.remarks and not _told(mutant, collected):
            yield f"{mutant.student} {mutant.name}: nobody is told"
        if mutant.remark and not any(mutant.remark in each for each in student.remarks):
            yield f"{mutant.student} {mutant.name}: no remark {mutant.remark!r}"
        for row in rows[mutant.student]:
            if fault := _fault(mutant, row):
                yield f"{mutant.student} {mutant.name}: {row.item} {fault}"


def _fault(mutant: Mutant, row: GradedAnswer) -> str:
    """Return what is wrong with a row of a mutant's; "" where nothing is."""
    wanted = mutant.expected.get(row.item, "correct")
    if row.outcome not in (("incorrect", "error") if wanted == "wrong" else (wanted,)):
        return f"is {row.outcome}, not {wanted}"
    said = f"{row.misconception} {row.message}"
    if row.item in mutant.expected and mutant.word not in said:
        return f"does not say {mutant.word} but {said}"
    return ""


def _told(mutant: Mutant, collected: Collected) -> bool:
    return any(mutant.file in stray for stray in collected.strays)


@contextmanager
def _server() -> Generator[tuple[int, list[Any]]]:
    """Listen on a port of this machine; yield it, and who has come."""
    connections: list[Any] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.client_address)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], connections
        finally:
            server.shutdown()


@contextmanager
def _variable(name: str, value: str) -> Generator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
