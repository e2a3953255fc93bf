"""What a class believes, how sure it is, and when it worked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from statistics import median

from labs_lib.assessment.confidence import STEPS
from labs_lib.classroom.report.answers import ClassAnswers, tries_of
from labs_lib.judging.intervals import Interval, wilson_interval


@dataclass(frozen=True)
class MisconceptionCount:
    """A mistake that was recognized: who made it, who had it still in the last answer, and where.

    `feedback` is what a student who makes it is told.
    """

    name: str
    students: int
    still: int
    items: tuple[str, ...]
    feedback: str


@dataclass(frozen=True)
class ConfidenceStep:
    """A step of confidence: first answers given at it, and the share that was right."""

    name: str
    answered: int
    right: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class Day:
    """A day of work, by the students' clocks, and the class's progress at its end."""

    day: str
    students: int
    answers: int
    right: int
    median_right_so_far: float


def misconception_counts(answers: ClassAnswers) -> list[MisconceptionCount]:
    """Return the misconceptions by the number of students who showed them, most first.

    An option that names none, and so goes by its letter, is left to the options' own table.
    """
    had: dict[str, set[str]] = defaultdict(set)
    still: dict[str, set[str]] = defaultdict(set)
    where: dict[str, set[str]] = defaultdict(set)
    told = {
        (item.id, name): text
        for item in answers.items
        for name, text in item.misconceptions.items()
    }
    said: dict[str, str] = {}
    here = {student.student for student in answers.students}
    for (student, item), row in answers.answers.items():
        tries = tries_of(row) if student in here else []
        for each in tries:
            name = each.misconception
            if len(name) > 1:
                had[name].add(student)
                where[name].add(item)
                said.setdefault(name, told.get((item, name), ""))
        if tries and len(tries[-1].misconception) > 1:
            still[tries[-1].misconception].add(student)
    counts = [
        MisconceptionCount(name, len(who), len(still[name]), tuple(sorted(where[name])), said[name])
        for name, who in had.items()
    ]
    return sorted(counts, key=lambda each: (-each.students, -each.still, each.name))


def confidence_steps(answers: ClassAnswers) -> list[ConfidenceStep]:
    """Return each step of confidence at which first answers were given, from guess to sure."""
    given: dict[str, list[bool]] = {step: [] for step in STEPS}
    for student in answers.students:
        for item in answers.items:
            first = answers.first(student.student, item.id)
            if first is not None and first.confidence in given:
                given[first.confidence].append(first.outcome == "correct")
    return [
        ConfidenceStep(step, len(marks), sum(marks), sum(marks) / len(marks),
                       wilson_interval(sum(marks), len(marks)))
        for step, marks in given.items()
        if marks
    ]  # fmt: skip


def day_of(time: str) -> str:
    """Return the day of an ISO time, or nothing for what is no time."""
    try:
        return date.fromisoformat(time[:10]).isoformat()
    except ValueError:
        return ""


def days_of(answers: ClassAnswers) -> list[Day]:
    """Return the days on which somebody answered, in order."""
    worked: dict[str, set[str]] = defaultdict(set)
    outcomes: dict[str, list[bool]] = defaultdict(list)
    first_right: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for student in (each.student for each in answers.students):
        for item in answers.items:
            done = False
            for each in answers.tries(student, item.id):
                day = day_of(each.time)
                if not day:
                    continue
                worked[day].add(student)
                outcomes[day].append(each.outcome == "correct")
                if each.outcome == "correct" and not done:
                    first_right[day][student] += 1
                    done = True
    so_far = {student.student: 0 for student in answers.students}
    days: list[Day] = []
    for day in sorted(worked):
        for student, count in first_right[day].items():
            so_far[student] += count
        middle = float(median(so_far.values()))
        marks = outcomes[day]
        days.append(Day(day, len(worked[day]), len(marks), sum(marks), middle))
    return days
