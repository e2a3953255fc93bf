"""All that a report says of a class, as figures: what its page shows, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from labs_lib.classroom.records import Graded
from labs_lib.classroom.report import items as item_rows
from labs_lib.classroom.report import learning
from labs_lib.classroom.report.answers import ClassAnswers, class_answers, without_names
from labs_lib.classroom.report.classical import Estimate, cronbach_alpha
from labs_lib.classroom.report.help import StudentNeed, who_needs_help
from labs_lib.classroom.report.item_response import NOT_ANSWERED, ItemResponse, item_response


@dataclass(frozen=True)
class Overview:
    """The class in a few numbers; shares are of all possible points."""

    students: int
    handed_in: int
    late: int
    items: int
    shares: tuple[float, ...]
    median_share: float | None
    alpha: Estimate | None


@dataclass(frozen=True)
class ClassReport:
    """What a class shows; every part is plain data."""

    release: str
    lessons: tuple[str, ...]
    due: str
    walls: str
    named: bool
    overview: Overview
    needs: tuple[StudentNeed, ...]
    misconceptions: tuple[learning.MisconceptionCount, ...]
    items: tuple[item_rows.ItemFigures, ...]
    confidence: tuple[learning.ConfidenceStep, ...]
    days: tuple[learning.Day, ...]
    item_response: ItemResponse

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON's own types."""
        return asdict(self)


def class_report(graded: Graded, *, names: bool = True) -> ClassReport:
    """Return what a class shows; without `names`, students are numbered in a drawn order."""
    if not names:
        graded = without_names(graded)
    answers = class_answers(graded)
    release = graded.release
    return ClassReport(
        release=release.id,
        lessons=release.lessons,
        due=release.due,
        walls=graded.walls,
        named=names,
        overview=_overview(answers),
        needs=tuple(who_needs_help(answers)),
        misconceptions=tuple(learning.misconception_counts(answers)),
        items=tuple(item_rows.item_figures(answers)),
        confidence=tuple(learning.confidence_steps(answers)),
        days=tuple(learning.days_of(answers)),
        item_response=item_response(_with_gaps(answers)),
    )


def _overview(answers: ClassAnswers) -> Overview:
    shares = [s.points / s.possible for s in answers.students if s.possible > 0]
    return Overview(
        students=len(answers.students) + len(answers.missing),
        handed_in=len(answers.students),
        late=sum(student.late for student in answers.students),
        items=len(answers.items),
        shares=tuple(sorted(shares)),
        median_share=median(shares) if shares else None,
        alpha=cronbach_alpha(answers.first_scores()),
    )


def _with_gaps(answers: ClassAnswers) -> list[list[int]]:
    """Return the scores of first answers, in which an item that was not answered is a gap."""
    return [
        [
            score if answers.first(student.student, item.id) else NOT_ANSWERED
            for item, score in zip(answers.items, scores, strict=True)
        ]
        for student, scores in zip(answers.students, answers.first_scores(), strict=True)
    ]
