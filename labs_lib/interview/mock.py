"""A timed mock interview: questions from all banks, one at a time, under a clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labs_lib.assessment.asking import Asked
from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.interactions import Program
from labs_lib.assessment.outcomes import CORRECT, INCORRECT, is_blank
from labs_lib.assessment.progress import LARGEST_SEED
from labs_lib.assessment.show import Panel
from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.interview.examining import Examination, examine
from labs_lib.interview.questions import InterviewQuestion, questions
from labs_lib.interview.records import legal_ticks, record_spoken
from labs_lib.interview.summary import Result, Summary

SHORTEST_MINUTES, LONGEST_MINUTES = 1, 120
QUICK_PER_SPOKEN = 2
_MINUTES_PER_ROUND = 4  # two minutes to speak, and one for each quick question


@dataclass(frozen=True)
class Step:
    """One question of an interview: one to speak to, or a quick one of a lesson's bank."""

    number: int
    spoken: InterviewQuestion | None = None
    quick: Asked | None = None

    @property
    def id(self) -> str:
        """Return the id of the question."""
        return self.spoken.id if self.spoken else self._asked.question.id

    @property
    def lessons(self) -> tuple[str, ...]:
        """Return the lessons that prepare for it."""
        return self.spoken.lessons if self.spoken else (self._asked.question.lesson,)

    @property
    def text(self) -> str:
        """Return the question, as Markdown."""
        return self.spoken.question if self.spoken else self._asked.question.prompt

    @property
    def _asked(self) -> Asked:
        assert self.quick is not None
        return self.quick


class MockInterview:
    """Questions under a clock that runs while one is open: `open`, `answer`, `tick`, `skip`.

    `minutes` is from 1 to 120. `seed` draws the questions and their numbers, the same ones again
    for the same seed; without it, new ones. `lessons` keeps to those lessons. `clock` returns
    seconds. Quick questions are recorded as reviews, spoken ones with their ticks. Raises
    `LabError` for an illegal number or an unknown lesson.
    """

    def __init__(
        self,
        minutes: float = 20,
        seed: int | None = None,
        lessons: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.minutes = _legal_minutes(minutes)
        if seed is not None and type(seed) is not int:
            raise LabError(f"seed: {shorten(seed)} is not a whole number")
        self.seed = random.randrange(LARGEST_SEED) if seed is None else seed
        self.steps = _plan(self.minutes, self.seed, lessons)
        self._clock = clock
        self._spent = 0.0
        self._opened: float | None = None
        self._place = -1
        self._results: dict[int, Result] = {}
        self._examination: Examination | None = None

    @property
    def left_seconds(self) -> float:
        """Return the time that is left, 0 at least."""
        running = 0.0 if self._opened is None else self._clock() - self._opened
        return max(0.0, 60 * self.minutes - self._spent - running)

    @property
    def step(self) -> Step | None:
        """Return the question that was opened last, or None before the first."""
        return self.steps[self._place] if self._place >= 0 else None

    @property
    def is_open(self) -> bool:
        """Return whether a question waits for its answer and the clock runs."""
        return self._opened is not None

    @property
    def is_over(self) -> bool:
        """Return whether no question is open and none will be opened."""
        last = self._place == len(self.steps) - 1
        return self._opened is None and (self.left_seconds <= 0 or last)

    def open(self) -> Step | None:
        """Open the next question and let the clock run; None when the interview is over.

        A question that is open is left unanswered, as `skip` does.
        """
        if self._opened is not None:
            self.skip()
        if self.is_over:
            return None
        self._place += 1
        self._examination = None
        self._opened = self._clock()
        return self.step

    def answer(self, answer: Any, confidence: str | None = None) -> Examination | Panel:
        """Answer the open question and stop the clock; return what became of the answer.

        A blank, or what cannot be read as an answer, leaves the question open. An answer that is
        given after the time has run out still counts. Raises `LabError` where no question is open.
        """
        step = self._open_step()
        if step.spoken is not None:
            examination = examine(step.spoken, answer)
            if not examination.is_blank:
                self._examination = examination
                self._stop(step, 0.0, examination=examination)
            return examination
        assert step.quick is not None
        panel = step.quick.answer(answer, confidence)
        if panel.look in (CORRECT, INCORRECT) and not is_blank(answer):
            self._stop(step, float(panel.look == CORRECT), feedback=panel.plain)
        return panel

    def tick(self, ticked: Iterable[int]) -> Result:
        """Say which key points the spoken answer made, by their numbers from 1, and record it.

        Raises `LabError` for another number, or where the last answer was not a spoken one.
        """
        if self._examination is None or self.step is None:
            raise LabError("tick: answer a spoken question first")
        numbers = legal_ticks(ticked, len(self._examination.points))
        share = len(numbers) / len(self._examination.points)
        note = record_spoken(self._examination, numbers)
        result = self._results[self.step.number].ticking(numbers, share, note)
        self._results[self.step.number] = result
        return result

    def skip(self) -> None:
        """Leave the open question unanswered and stop the clock; nothing is recorded."""
        self._stop(self._open_step(), 0.0, skipped=True)

    def stop(self) -> Summary:
        """End the interview, whatever is left of it, and return what to review."""
        if self._opened is not None:
            self.skip()
        self._spent = 60.0 * self.minutes
        return self.summary()

    def summary(self) -> Summary:
        """Return what to review after the questions so far, the weakest lesson first."""
        return Summary(tuple(self._results[number] for number in sorted(self._results)))

    def _open_step(self) -> Step:
        if self._opened is None or self.step is None:
            raise LabError("answer: no question is open; `open()` opens the next one")
        return self.step

    def _stop(self, step: Step, share: float, **more: Any) -> None:
        assert self._opened is not None
        seconds = self._clock() - self._opened
        self._spent += seconds
        self._opened = None
        kind = "spoken" if step.spoken else "quick"
        self._results[step.number] = Result(step.id, kind, step.lessons, share, seconds, **more)


def _plan(minutes: float, seed: int, lessons: Sequence[str] | None) -> tuple[Step, ...]:
    """Return the questions in order: one to speak to, then quick ones, from lesson after lesson."""
    banks = load_banks()
    for lesson in lessons or ():
        if lesson not in banks:
            raise choice_error("lessons", lesson, banks)
    chosen = set(banks if lessons is None else lessons)
    # random.Random seeded with a string is specified to be the same everywhere.
    generator = random.Random(f"interview:{seed}")
    quick = [
        [q.id for q in bank.questions if not isinstance(q.interaction, Program)]
        for lesson, bank in sorted(banks.items())
        if lesson in chosen
    ]
    topics: dict[str, list[str]] = {}
    for question in questions().values():
        if chosen & set(question.lessons) or lessons is None:
            topics.setdefault(question.topic, []).append(question.id)
    spoken = _in_turn(list(topics.values()), generator)
    quick_ids = _in_turn(quick, generator)
    rounds = max(1, round(minutes / _MINUTES_PER_ROUND)) * 2  # enough for who answers quickly
    steps: list[Step] = []
    for _ in range(rounds):
        if spoken:
            drawn = questions()[spoken.pop(0)]
            numbers = generator.randrange(LARGEST_SEED) if drawn.has_variants else None
            steps.append(Step(len(steps) + 1, spoken=drawn.draw(numbers)))
        for question_id in quick_ids[:QUICK_PER_SPOKEN]:
            asked = Asked(question_id, generator.randrange(LARGEST_SEED), review=True)
            steps.append(Step(len(steps) + 1, quick=asked))
        del quick_ids[:QUICK_PER_SPOKEN]
    return tuple(steps)


def _in_turn(groups: list[list[str]], generator: random.Random) -> list[str]:
    """Return all ids, shuffled, one of each group in turn."""
    shuffled = [generator.sample(group, len(group)) for group in groups]
    generator.shuffle(shuffled)
    ids: list[str] = []
    while any(shuffled):
        ids += [group.pop() for group in shuffled if group]
    return ids


def _legal_minutes(minutes: Any) -> float:
    number = isinstance(minutes, (int, float)) and not isinstance(minutes, bool)
    if not number or not SHORTEST_MINUTES <= minutes <= LONGEST_MINUTES:
        raise LabError(
            f"minutes: {shorten(minutes)} is not legal; a number from {SHORTEST_MINUTES} to "
            f"{LONGEST_MINUTES}"
        )
    return minutes
