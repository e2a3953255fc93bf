"""`labs review`: the questions that are due again, asked at the terminal."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from labs_lib.errors import LabError

if TYPE_CHECKING:
    from labs_lib.assessment.asking import Asked
    from labs_lib.assessment.review import ReviewItem, ReviewPlan


@click.command("review")
@click.option("--lesson", help="Only questions of the lessons before this one, such as 04.")
@click.option("--at-most", default=5, show_default=True, help="How many questions to ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs; ask nothing.")
def command(lesson: str | None, at_most: int, as_json: bool) -> None:
    """Ask the questions that are due again, and record the answers."""
    from labs_lib.assessment.review import review_plan

    plan = review_plan(datetime.now().astimezone(), lesson).first(at_most)
    if plan.trouble:
        raise LabError(plan.trouble)
    if as_json:
        click.echo(json.dumps(_content(plan), indent=2, ensure_ascii=False))
        return
    if not _at_a_terminal():
        raise LabError(
            "review: no terminal to ask at; --json lists what is due, and in a notebook "
            "review() of labs_lib.widgets shows it"
        )
    click.echo(plan.heading)
    if plan.due:
        click.echo("Enter alone skips a question, ? shows a hint, Ctrl+C stops.")
    for item in plan.due:
        _ask(item.asked())


def _ask(asked: Asked) -> None:
    """Ask one question until it is answered right or skipped."""
    from labs_lib.assessment.interactions import lettered
    from labs_lib.assessment.outcomes import CORRECT, ERROR

    question = asked.question
    lines = ["", question.prompt, *lettered(question.interaction), question.instruction]
    click.echo("\n".join(lines))
    confidence: str | None = None
    while answer := _read("Your answer").strip():
        if answer == "?":
            click.echo(asked.hint().plain)
            continue
        if confidence is None:
            confidence = _read_confidence()
        panel = asked.answer(answer, confidence)
        click.echo(panel.plain)
        if panel.look == CORRECT:
            return
        if panel.look != ERROR:
            confidence = ""  # the feedback has been read: it is stated once a question


def _read_confidence() -> str:
    """Return how sure the student is; an empty text if they don't say."""
    from labs_lib.assessment.confidence import STEPS

    steps = {str(number): step for number, step in enumerate(STEPS, start=1)}
    numbered = ", ".join(f"{number} {step}" for number, step in steps.items())
    while typed := _read(f"How sure are you? ({numbered}; Enter to leave it out)").strip():
        if typed in STEPS:
            return typed
        if typed in steps:
            return steps[typed]
        click.echo(f"Type a number from 1 to {len(STEPS)}.")
    return ""


def _read(question: str) -> str:
    return click.prompt(question, default="", show_default=False)


def _at_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _content(plan: ReviewPlan) -> dict[str, Any]:
    """Return what is due and what comes later, as `--json` prints it."""
    return {
        "due": [_described(item) for item in plan.due],
        "waiting": plan.waiting,
        "later": [_described(item) for item in plan.later],
    }


def _described(item: ReviewItem) -> dict[str, Any]:
    return {
        "id": item.question.id,
        "due": item.due.isoformat(),
        "times_answered": item.times_answered,
        "last_answer": "correct" if item.last.correct else "incorrect",
        "wrong_and_sure": item.wrong_and_sure,
        "retrievability": round(item.retrievability, 3),
    }
