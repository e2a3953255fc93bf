"""One pure function: `grade(question, response)` → `Outcome`, for card, tests and instructor."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment.outcomes import ERROR, Outcome, Response
from labs_lib.assessment.questions import Question
from labs_lib.errors import kind_of, shorten


def grade(question: Question, response: Response) -> Outcome:
    """Judge a response to a question; pure, and it raises nothing whatever the response holds.

    A blank (None, `...`, white space, an empty list) is "not attempted"; what cannot be read as
    an answer to this question is an "error", which counts as no attempt either. A code question
    runs the student's function in a process of its own.
    """
    asked = response.question_id
    if type(asked) is not str or asked != question.id:
        named = shorten(asked) if type(asked) is str else kind_of(asked)
        return Outcome(ERROR, f"This is an answer to question {named}, not to {question.id}.")
    return question.grade(response.value, response.seed)


def right_answer(question: Question, seed: int = 0) -> Any:
    """Return a response value that grades as correct, in the form in which a student types it.

    For the solved run of a notebook and for exports; a code question gives its solution's source.
    """
    return question.right_answer(seed)
