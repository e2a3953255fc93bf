"""The rows of a grading as a report counts them: who handed in, and each student's first answer.

An item is judged by the first answer that was right or wrong. Later ones come after the feedback,
and an item that everybody has right in the end would say nothing of itself.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

from labs_lib.classroom.records import Graded, GradedAnswer, GradedStudent, ReleasedItem, Try

ANSWERED = ("correct", "incorrect")


@dataclass(frozen=True)
class ClassAnswers:
    """A class: its items, those who handed in, all others, and the answers by student and item."""

    items: tuple[ReleasedItem, ...]
    students: tuple[GradedStudent, ...]
    missing: tuple[GradedStudent, ...]
    answers: dict[tuple[str, str], GradedAnswer] = field(repr=False)

    def answer(self, student: str, item: str) -> GradedAnswer | None:
        """Return a student's row for an item, if there is one."""
        return self.answers.get((student, item))

    def tries(self, student: str, item: str) -> list[Try]:
        """Return the answers that were right or wrong, in order."""
        row = self.answer(student, item)
        return [] if row is None else tries_of(row)

    def first(self, student: str, item: str) -> Try | None:
        """Return the first answer that was right or wrong."""
        return next(iter(self.tries(student, item)), None)

    def first_scores(self) -> list[list[int]]:
        """Return a row a student: 1 where the first answer was right, 0 otherwise."""
        return [
            [
                int((first := self.first(student.student, item.id)) is not None
                    and first.outcome == "correct")
                for item in self.items
            ]
            for student in self.students
        ]  # fmt: skip


def tries_of(row: GradedAnswer) -> list[Try]:
    """Return a row's answers that were right or wrong; the row's own where it lists none."""
    given = list(row.tries) or [
        Try(
            outcome=row.outcome,
            given=row.given,
            misconception=row.misconception,
            confidence=row.confidence,
            time=row.time,
        )
    ]
    return [each for each in given if each.outcome in ANSWERED]


def class_answers(graded: Graded) -> ClassAnswers:
    """Return a grading by student and item."""
    here = tuple(student for student in graded.students if student.handed_in)
    missing = tuple(student for student in graded.students if not student.handed_in)
    answers = {(row.student, row.item): row for row in graded.answers}
    return ClassAnswers(graded.release.items, here, missing, answers)


def without_names(graded: Graded) -> Graded:
    """Return the same grading of "student 1", "student 2", …, in an order that tells nothing.

    The order is drawn from the whole of the file, so that a list of the class does not give it
    away; names, remarks and the wording of free answers are left out.
    """
    whole = hashlib.sha256(graded.model_dump_json().encode()).hexdigest()
    order = [student.student for student in graded.students]
    random.Random(whole).shuffle(order)
    width = len(str(len(order)))
    code = {student: f"student {n:0{width}}" for n, student in enumerate(order, start=1)}
    lettered = {item.id for item in graded.release.items if item.options}
    students = [
        student.model_copy(
            update={
                "student": code[student.student],
                "name": "",
                "remarks": tuple("a remark of the grading" for _ in student.remarks),
            }
        )
        for student in graded.students
    ]
    answers = [
        _unnamed(row, code[row.student], keep=row.item in lettered)
        for row in graded.answers
        if row.student in code
    ]
    students.sort(key=lambda student: student.student)
    answers.sort(key=lambda row: row.student)
    return graded.model_copy(update={"students": tuple(students), "answers": tuple(answers)})


def _unnamed(row: GradedAnswer, code: str, *, keep: bool) -> GradedAnswer:
    if keep:
        return row.model_copy(update={"student": code, "message": ""})
    tries = tuple(each.model_copy(update={"given": ""}) for each in row.tries)
    return row.model_copy(update={"student": code, "message": "", "given": "", "tries": tries})
