"""Who needs help, and for which reason, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from statistics import quantiles

from labs_lib.assessment.confidence import FEWEST_TO_JUDGE, SHARE_WHEN_SURE, SURE
from labs_lib.classroom.records import GradedStudent
from labs_lib.classroom.report.answers import ClassAnswers
from labs_lib.classroom.report.learning import day_of

ENOUGH = 0.5
"""Who has this share of the points has enough, whatever the others have."""
MOST_BLANK, MOST_TRIES = 1 / 3, 3
MOST_MISTAKES_KEPT = 3
DAYS_SILENT = 7


@dataclass(frozen=True)
class StudentNeed:
    """A student who needs help; `reasons` are sentences, the weightiest first."""

    student: str
    name: str
    share: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Usual:
    """What is usual in the class: whoever is outside of it stands out."""

    lowest_quarter: float
    most_kept: float
    last_day: str


def who_needs_help(answers: ClassAnswers) -> list[StudentNeed]:
    """Return those for whom there is a reason; those who handed in nothing come first."""
    usual = _usual(answers)
    needs = [
        StudentNeed(each.student, each.name, None, ("Nothing was handed in.", *each.remarks))
        for each in answers.missing
    ]
    found: list[StudentNeed] = []
    for student in answers.students:
        reasons = tuple(_reasons(answers, student, usual))
        if reasons:
            share = student.points / student.possible if student.possible else None
            found.append(StudentNeed(student.student, student.name, share, reasons))
    found.sort(key=lambda need: (-len(need.reasons), need.share or 0.0, need.student))
    return [*needs, *found]


def _usual(answers: ClassAnswers) -> _Usual:
    shares = [each.points / each.possible for each in answers.students if each.possible]
    kept = [len(_kept(answers, each)) for each in answers.students]
    last_day = max((_last_day(answers, each) for each in answers.students), default="")
    if len(shares) < 2:
        return _Usual(0.0, 0.0, last_day)
    quarters = (quantiles(values, n=4, method="inclusive") for values in (shares, kept))
    return _Usual(next(quarters)[0], next(quarters)[2], last_day)


def _kept(answers: ClassAnswers, student: GradedStudent) -> list[str]:
    """Return the misconceptions with a name that a student's last answers show."""
    given = (answers.tries(student.student, item.id) for item in answers.items)
    return sorted({tries[-1].misconception for tries in given
                   if tries and len(tries[-1].misconception) > 1})  # fmt: skip


def _reasons(answers: ClassAnswers, student: GradedStudent, usual: _Usual) -> Iterator[str]:
    tries = {item.id: answers.tries(student.student, item.id) for item in answers.items}
    share = student.points / student.possible if student.possible else 1.0
    if share < ENOUGH and share <= usual.lowest_quarter:
        yield f"{100 * share:.0f} % of the points, in the lowest quarter of the class."
    blank = [item for item, given in tries.items() if not given]
    if tries and len(blank) > MOST_BLANK * len(tries):
        yield f"{len(blank)} of {len(tries)} items have no answer."
    kept = _kept(answers, student)
    if len(kept) >= MOST_MISTAKES_KEPT and len(kept) > usual.most_kept:
        named = ", ".join(kept)
        yield f"{len(kept)} misconceptions in the last answers, more than most have: {named}."
    sure = [given[0].outcome == "correct" for given in tries.values()
            if given and given[0].confidence == SURE]  # fmt: skip
    if len(sure) >= FEWEST_TO_JUDGE and sum(sure) < SHARE_WHEN_SURE * len(sure):
        yield f"Sure of {len(sure)} first answers, of which {sum(sure)} were right."
    stuck = [item for item, given in tries.items()
             if len(given) >= MOST_TRIES and given[-1].outcome != "correct"]  # fmt: skip
    if stuck:
        yield f"Tried {MOST_TRIES} times or more, and not right yet: {', '.join(stuck)}."
    silent = _days_between(_last_day(answers, student), usual.last_day)
    if silent >= DAYS_SILENT and blank:
        yield f"No answer in the last {silent} days of the class's work."


def _last_day(answers: ClassAnswers, student: GradedStudent) -> str:
    times = (each.time for item in answers.items
             for each in answers.tries(student.student, item.id))  # fmt: skip
    return max((day_of(time) for time in times), default="")


def _days_between(earlier: str, later: str) -> int:
    if not earlier or not later:
        return 0
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days
