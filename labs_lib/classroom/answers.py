"""What a hand-in answers: responses judged anew here, code made into jobs for the benches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labs_lib.assessment.cells import exercise_of
from labs_lib.assessment.confidence import STEPS
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.answers import is_starter
from labs_lib.assessment.grading import grade
from labs_lib.assessment.interactions import offers_of
from labs_lib.assessment.kinds.options import ChoiceQuestion
from labs_lib.assessment.letters import read_letters
from labs_lib.assessment.outcomes import CORRECT, ERROR, INCORRECT, Outcome, Response
from labs_lib.assessment.plain import plain_text
from labs_lib.assessment.questions import Question
from labs_lib.assessment.short_texts import normal_form
from labs_lib.classroom.code_jobs import CodeJob
from labs_lib.classroom.items import EXERCISE
from labs_lib.classroom.records import (
    GivenResponse,
    GradedAnswer,
    HandedIn,
    Release,
    ReleasedItem,
    Status,
    Try,
)
from labs_lib.errors import LabError, shorten

LONGEST_LINE = 300


@dataclass
class Work:
    """One student's answers by item: what was judged at once, and the jobs that wait."""

    student: str
    tries: dict[str, list[Try]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, CodeJob] = field(default_factory=dict)


def work_of(
    student: str, handed: HandedIn | None, release: Release, questions: Mapping[str, Question]
) -> Work:
    """Return what a student has answered: questions judged anew, code as jobs.

    `questions` are the instructor's, whole. Outcomes that the hand-in claims are not looked at.
    """
    work = Work(student)
    if handed is None:
        return work
    given: dict[str, list[GivenResponse]] = {}
    for response in handed.responses:
        given.setdefault(response.item, []).append(response)
    cells = _cells_of(handed)
    for item in release.items:
        own = given.get(item.id, [])
        work.hints[item.id] = max((each.hints for each in own), default=0)
        question = questions.get(item.id)
        if item.kind == EXERCISE:
            if (found := cells.get(item.id)) is not None:
                work.jobs[item.id] = CodeJob(item.id, *found, value=_recorded(own))
        elif question is not None and question.exercise_id is not None:
            source = next((each.response for each in reversed(own)), None)
            if isinstance(source, str):
                work.jobs[item.id] = CodeJob(question.exercise_id, source)
        elif question is not None:
            for response in own:
                _judge(work, item, question, response, handed.seed)
    return work


def graded_answer(
    work: Work, item: ReleasedItem, outcomes: Mapping[CodeJob, Outcome], most_attempts: int
) -> GradedAnswer:
    """Return the row of a student and an item; of the answers that count, the last decides."""
    tries, messages = work.tries.get(item.id, []), work.messages.get(item.id, [])
    job = work.jobs.get(item.id)
    if job is not None:
        outcome = outcomes[job]
        messages = [outcome.message]
        tries = [
            Try(
                outcome=_status(outcome),
                given=plain_text(job.source, LONGEST_LINE),
                misconception=outcome.misconception,
            )
        ]
    attempts = [n for n, each in enumerate(tries) if each.outcome in (CORRECT, INCORRECT)]
    if most_attempts and len(attempts) > most_attempts:
        tries = tries[: attempts[most_attempts - 1] + 1]
    # What could not be read is no answer, where another could be.
    counted = [n for n, each in enumerate(tries) if each.outcome in (CORRECT, INCORRECT)]
    at = counted[-1] if counted else len(tries) - 1
    last = tries[at] if tries else Try(outcome="not attempted")
    return GradedAnswer(
        student=work.student,
        lesson=item.lesson,
        item=item.id,
        kind=item.kind,
        outcome=last.outcome,
        attempts=len(attempts),
        confidence=last.confidence,
        hints=work.hints.get(item.id, 0),
        given=last.given,
        misconception=last.misconception,
        message=messages[at][:20_000] if tries else "",
        points=item.points if last.outcome == CORRECT else 0.0,
        possible=item.points,
        time=last.time,
        tries=tuple(tries),
    )


def _judge(
    work: Work, item: ReleasedItem, question: Question, response: GivenResponse, seed: int
) -> None:
    if response.cut:
        outcome = Outcome(ERROR, "The student's file did not keep all of this answer.", "cut")
    elif question.depends_on_seed and response.seed != seed:
        reason = f"It was asked with the seed {response.seed}, and the hand-in's is {seed}."
        outcome = Outcome(ERROR, reason, "other-seed")
    else:
        outcome = grade(question, Response(item.id, response.response, seed))
    confidence = response.confidence if response.confidence in STEPS else ""
    work.tries.setdefault(item.id, []).append(
        Try(
            outcome=_status(outcome),
            given=_given(question, response.response),
            misconception=outcome.misconception,
            confidence=confidence,
            time=plain_text(response.time, 100),
        )
    )
    work.messages.setdefault(item.id, []).append(outcome.message)


def _status(outcome: Outcome) -> Status:
    return ERROR if outcome.status == "recorded" else outcome.status


def _given(question: Question, response: Any) -> str:
    """Return an answer in one line: its letters where letters are asked for."""
    offers = offers_of(question.interaction)
    if offers:
        ordered = not isinstance(question, ChoiceQuestion)
        letters = read_letters(response, [normal_form(each.text) for each in offers], ordered)
        if not isinstance(letters, str):
            return ",".join(letters if ordered else sorted(letters))
    if isinstance(response, str):
        return plain_text(response, LONGEST_LINE)
    return plain_text(shorten(response, LONGEST_LINE), LONGEST_LINE)


def _cells_of(handed: HandedIn) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return exercise → its cell and the lesson's cells before it; of several the last filled in.

    A cell that still holds the starter, or nothing, is no answer.
    """
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    earlier: dict[str, list[str]] = {}
    for cell in handed.cells:
        before = earlier.setdefault(cell.lesson, [])
        name = exercise_of(cell.source)
        own = name is not None and name.startswith(f"{cell.lesson}.")
        if name is not None and own and _is_filled_in(name, cell.source):
            found[name] = (cell.source, tuple(before))
        before.append(cell.source)
    return found


def _is_filled_in(name: str, source: str) -> bool:
    try:
        exercise = find_exercise(name)
    except LabError:  # an id that no lesson has
        return False
    return not is_starter(source, exercise.answer, exercise.starter)


def _recorded(given: list[GivenResponse]) -> str:
    """Return the value that the student's file has last for an exercise, as JSON, if it has it."""
    if not given or given[-1].cut or given[-1].response is None:
        return ""
    return json.dumps(given[-1].response)
