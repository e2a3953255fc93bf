"""Which questions are due again, and when: spaced repetition over the progress file, by FSRS."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from labs_lib.assessment.asking import Asked
from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.confidence import GUESS, SURE, UNSURE
from labs_lib.assessment.event_rows import Event
from labs_lib.assessment.interactions import Program
from labs_lib.assessment.progress import LARGEST_SEED, try_to_read
from labs_lib.assessment.questions import Question
from labs_lib.assessment.sittings import CountedAnswer, counted_answers
from labs_lib.errors import LabError, choice_error, shorten

if TYPE_CHECKING:
    import fsrs

AT_MOST, MOST = 5, 50
LONGEST_INTERVAL_DAYS = 365
NOTHING_DUE = "Nothing is due: questions that you have answered come back here after a day or more."
_DRAWS_TRIED = 20


@dataclass(frozen=True)
class ReviewItem:
    """A question that was answered before, and when it is due again.

    `retrievability` is FSRS's estimate of the probability that it would be answered right now;
    `due` is a day in the time zone of the time for which the plan was made.
    """

    question: Question
    last: CountedAnswer
    times_answered: int
    due: date
    retrievability: float

    @property
    def wrong_and_sure(self) -> bool:
        """Return whether the last answer that counted was wrong, and the student was sure of it."""
        return not self.last.correct and self.last.confidence == SURE

    def asked(self) -> Asked:
        """Return the question to be asked as a review, with numbers other than the last ones."""
        return Asked(self.question.id, self._seed(), review=True)

    def _seed(self) -> int:
        """Return the seed of the next draw; the progress file alone decides it."""
        if not self.question.depends_on_seed:
            return 0
        before = self.question.draw(self.last.seed).prompt
        # random.Random seeded with a string is specified to be the same everywhere.
        generator = random.Random(f"{self.last.seed}:{self.question.id}:{self.times_answered}")
        seed = self.last.seed
        for _ in range(_DRAWS_TRIED):
            seed = generator.randrange(LARGEST_SEED)
            if self.question.draw(seed).prompt != before:
                break
        return seed


@dataclass(frozen=True)
class ReviewPlan:
    """What is due today, in the order in which it is asked, and what is due later.

    `trouble` says why the progress file could not be read, and is empty otherwise; `waiting` is how
    many more are due than are asked.
    """

    due: tuple[ReviewItem, ...]
    later: tuple[ReviewItem, ...]
    trouble: str = ""
    waiting: int = 0

    @property
    def heading(self) -> str:
        """Return one sentence on how much is due."""
        if self.trouble:
            return self.trouble
        if not self.due:
            if not self.later:
                return NOTHING_DUE
            first = self.later[0].due
            return f"Nothing is due: the next question comes back on {first:%Y-%m-%d}."
        count = len(self.due)
        sentence = f"{count} question{'s are' if count > 1 else ' is'} due for review."
        if self.waiting:
            these = "These are" if count > 1 else "This is"
            all_due = count + self.waiting
            sentence = f"{these} {count} of the {all_due} questions that are due for review."
        surely_wrong = sum(item.wrong_and_sure for item in self.due)
        if surely_wrong:
            which = "one" if surely_wrong == 1 else f"{surely_wrong}"
            sentence += f" First: {which} that you got wrong although you were sure."
        return sentence

    def first(self, at_most: int) -> ReviewPlan:
        """Return the plan with the first `at_most` of the due questions.

        Raises LabError for a number that is not from 1 to `MOST`.
        """
        if type(at_most) is not int or not 1 <= at_most <= MOST:
            raise LabError(
                f"at_most: {shorten(at_most)} is not legal; a whole number from 1 to {MOST}"
            )
        waiting = self.waiting + len(self.due[at_most:])
        return ReviewPlan(self.due[:at_most], self.later, self.trouble, waiting)


def review_plan(
    now: datetime, lesson: str | None = None, events: Iterable[Event] | None = None
) -> ReviewPlan:
    """Return what is due on the day of `now`, a time with its zone, and what comes later.

    Only questions of the lessons before `lesson` are looked at, if one is given, and no question
    that asks for code. What was wrong although the student was sure comes first, then what FSRS
    takes for most likely forgotten. The same events and the same `now` give the same plan. Raises
    LabError for an unknown lesson.
    """
    banks = load_banks()
    if lesson is not None and lesson not in list(banks):  # a list has no hash
        raise choice_error("lesson", lesson, banks)
    trouble = ""
    if events is None:
        events, trouble = try_to_read()
    answers = counted_answers(events, until=now)
    if not answers:  # a fresh start does not wait for the scheduler
        return ReviewPlan((), (), trouble)
    questions = [
        question
        for number, bank in sorted(banks.items())
        if lesson is None or number < lesson
        for question in bank.questions
        if question.id in answers and not isinstance(question.interaction, Program)
    ]
    items = [_scheduled(question, answers[question.id], now) for question in questions]
    today = now.date()
    due = [item for item in items if item.due <= today]
    due.sort(key=lambda item: (not item.wrong_and_sure, item.retrievability))
    later = sorted((item for item in items if item.due > today), key=lambda item: item.due)
    return ReviewPlan(tuple(due), tuple(later), trouble)


def _scheduled(question: Question, answers: Sequence[CountedAnswer], now: datetime) -> ReviewItem:
    """Return when a question is due, from all answers to it that count."""
    import fsrs

    # Without steps of minutes: a lesson is left and taken up again on another day. Without fuzz:
    # the plan follows from the progress file alone.
    scheduler = fsrs.Scheduler(
        learning_steps=(),
        relearning_steps=(),
        maximum_interval=LONGEST_INTERVAL_DAYS,
        enable_fuzzing=False,
    )
    card = fsrs.Card(card_id=0, due=answers[0].time)
    for answer in answers:
        card, _ = scheduler.review_card(card, _rating(answer), answer.time)
    return ReviewItem(
        question,
        answers[-1],
        len(answers),
        card.due.astimezone(now.tzinfo).date(),
        scheduler.get_card_retrievability(card, now),
    )


def _rating(answer: CountedAnswer) -> fsrs.Rating:
    """Return FSRS's rating of an answer, from its outcome, the hints taken and the confidence."""
    from fsrs import Rating

    if not answer.correct:
        return Rating.Again
    if answer.hints or answer.confidence in (GUESS, UNSURE):
        return Rating.Hard
    return Rating.Easy if answer.confidence == SURE else Rating.Good
