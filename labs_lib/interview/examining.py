"""An answer taken apart: its length, the sentence nearest to each key point, and slips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labs_lib.errors import LabError, kind_of
from labs_lib.interview.questions import InterviewQuestion, Slip
from labs_lib.interview.wording import (
    Span,
    Word,
    clauses,
    find_phrase,
    is_denied,
    sentences,
    shared_words,
    words_of,
)

WORDS_PER_MINUTE = 150
LONGEST_CHARACTERS = 200_000
# With less in common no sentence is shown with a key point.
_LEAST_SHARED = 2


@dataclass(frozen=True)
class Point:
    """A key point, and the sentence of the answer that shares most words with it; often none."""

    text: str
    nearest: str


@dataclass(frozen=True)
class Found:
    """A slip that the answer may have made: the rule, and the clause in which it was found."""

    slip: Slip
    span: Span
    words: str


@dataclass(frozen=True)
class Examination:
    """What rules can say of an answer; whether a point was made is the student's to judge."""

    question: InterviewQuestion
    answer: str
    words: int
    points: tuple[Point, ...]
    slips: tuple[Found, ...]

    @property
    def is_blank(self) -> bool:
        """Return whether there is no word in the answer."""
        return self.words == 0

    @property
    def seconds(self) -> float:
        """Return how long the answer takes to say, at 150 words a minute."""
        return 60 * self.words / WORDS_PER_MINUTE

    @property
    def length(self) -> str:
        """Return one sentence on the length."""
        if self.is_blank:
            return "No answer yet."
        said = f"{self.words:,} words, about {_time(self.seconds)} spoken"
        if self.seconds < 20:
            return f"{said}. An interviewer will ask for more: add a reason and a number."
        if self.seconds > 150:
            return f"{said}. Two minutes are enough: answer first, then the evidence."
        return f"{said}."


def examine(question: InterviewQuestion, answer: str) -> Examination:
    """Take an answer to a question apart.

    `question` is one that was drawn. Raises `LabError` for what is no text, or longer than 200,000
    characters.
    """
    if not isinstance(answer, str):
        raise LabError(f"answer: it should be a text, not {kind_of(answer)}")
    if len(answer) > LONGEST_CHARACTERS:
        raise LabError(f"answer: {len(answer):,} characters; at most {LONGEST_CHARACTERS:,}")
    words = words_of(answer)
    split = list(sentences(words))
    return Examination(
        question,
        answer,
        sum(word.is_word for word in words),
        tuple(Point(text, _nearest(text, split, answer)) for text in question.points),
        tuple(found for slip in question.slips for found in _made(slip, split, answer)),
    )


def _made(slip: Slip, split: list[list[Word]], answer: str) -> Iterator[Found]:
    """Yield the first clause in which a slip may have been made."""
    for sentence in split:
        if any(find_phrase(sentence, phrase) for phrase in slip.unless):
            continue
        for clause in clauses(sentence):
            said = [_first(clause, phrases) for phrases in slip.says]
            spans = [span for span in said if span is not None]
            if len(spans) == len(said) and not is_denied(clause, spans):
                span = Span(clause[0].start, clause[-1].end)
                yield Found(slip, span, answer[span.start : span.end])
                return


def _first(clause: list[Word], phrases: tuple[str, ...]) -> Span | None:
    return next(filter(None, (find_phrase(clause, phrase) for phrase in phrases)), None)


def _nearest(point: str, split: list[list[Word]], answer: str) -> str:
    """Return the first of the sentences that share the most with a point; often none."""
    shared = [shared_words(words_of(point), sentence) for sentence in split]
    most = max(shared, default=0)
    if most < _LEAST_SHARED:
        return ""
    sentence = split[shared.index(most)]
    return answer[sentence[0].start : sentence[-1].end]


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
