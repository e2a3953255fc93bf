"""What to review after an interview: lesson by lesson, the weakest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from labs_lib.assessment.banks import load_banks
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.interview.examining import Examination

ENOUGH = 0.75  # of the points: from here on an answer is not on the list of what to review


@dataclass(frozen=True)
class Result:
    """What became of one question: `share` is the part of it that was right, 0 to 1.

    Of a spoken answer it is the share of key points that the student ticked.
    """

    id: str
    kind: Literal["spoken", "quick"]
    lessons: tuple[str, ...]
    share: float
    seconds: float
    skipped: bool = False
    feedback: str = ""
    examination: Examination | None = None
    ticked: tuple[int, ...] = ()
    note: str = ""

    def ticking(self, ticked: Iterable[int], share: float, note: str) -> Result:
        """Return the result with the ticks of the student."""
        return replace(self, ticked=tuple(ticked), share=share, note=note)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the key points that were not ticked."""
        if self.examination is None:
            return ()
        points = enumerate(self.examination.points, start=1)
        return tuple(point.text for number, point in points if number not in self.ticked)

    @property
    def outcome(self) -> str:
        """Return the outcome in a few words."""
        if self.skipped:
            return "skipped"
        if self.examination is not None:
            slips = len(self.examination.slips)
            more = f", {slips} slip{'s' if slips > 1 else ''} to check" if slips else ""
            return f"{len(self.ticked)} of {len(self.examination.points)} points{more}"
        return "right" if self.share else "not right"


@dataclass(frozen=True)
class LessonResult:
    """One lesson's questions in an interview, and the mean share of them that was right."""

    lesson: str
    title: str
    results: tuple[Result, ...]

    @property
    def share(self) -> float:
        """Return the mean share, 0 to 1."""
        return sum(result.share for result in self.results) / len(self.results)

    @property
    def weak(self) -> tuple[str, ...]:
        """Return the ids of the questions that want another look."""
        return tuple(result.id for result in self.results if result.share < ENOUGH)


@dataclass(frozen=True)
class Summary:
    """The page at the end of an interview."""

    results: tuple[Result, ...]

    @property
    def lessons(self) -> tuple[LessonResult, ...]:
        """Return the lessons that were asked about, the weakest first."""
        titles = {number: bank.title for number, bank in load_banks().items()}
        names = sorted({lesson for result in self.results for lesson in result.lessons})
        found = [
            LessonResult(
                name, titles.get(name, ""), tuple(r for r in self.results if name in r.lessons)
            )
            for name in names
        ]
        return tuple(sorted(found, key=lambda each: (each.share, each.lesson)))

    @property
    def heading(self) -> str:
        """Return one sentence on the interview."""
        if not self.results:
            return "No question was asked."
        minutes = sum(result.seconds for result in self.results) / 60
        quick = [r for r in self.results if r.kind == "quick"]
        spoken = [r for r in self.results if r.kind == "spoken"]
        parts = []
        if spoken:
            made = sum(r.share for r in spoken) / len(spoken)
            answers = "1 spoken answer" if len(spoken) == 1 else f"{len(spoken)} spoken answers"
            parts.append(f"{made:.0%} of the key points in {answers}")
        if quick:
            right = sum(r.share > 0 for r in quick)
            parts.append(f"{right} of {len(quick)} quick questions right")
        return f"{_minutes(minutes)}: {', '.join(parts)}."

    @property
    def advice(self) -> str:
        """Return one sentence on what to read first, and what comes back by itself."""
        weak = [each for each in self.lessons if each.weak]
        if not self.results:
            return ""
        if not weak:
            return "Nothing here wants another look. Draw new questions with another seed."
        first = weak[0]
        text = f"Begin with lesson {first.lesson}, {first.title}."
        if any(r.kind == "quick" and not r.share and not r.skipped for r in self.results):
            text += " The quick questions that were wrong come back in `review()`."
        return text

    def table(self) -> Table:
        """Return the lessons, the weakest first, with the questions to look at again."""
        return Table.of(
            ("lesson", "right", "look again at"),
            [
                (f"{e.lesson} {e.title}".strip(), f"{e.share:.0%}", ", ".join(e.weak) or "nothing")
                for e in self.lessons
            ],
        )

    def questions_table(self) -> Table:
        """Return the questions in the order asked, with outcome, time and what was missing."""
        return Table.of(
            ("question", "outcome", "seconds", "what was missing"),
            [
                (r.id, r.outcome, f"{r.seconds:.0f}", "\n".join(r.missing) or r.feedback)
                for r in self.results
            ],
        )

    @property
    def plain(self) -> str:
        """Return the page as plain text."""
        if not self.results:
            return self.heading
        parts = [self.heading, repr(self.table()), repr(self.questions_table()), self.advice]
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return self.plain


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "Less than a minute"
    return "1 minute" if round(minutes) == 1 else f"{minutes:.0f} minutes"
