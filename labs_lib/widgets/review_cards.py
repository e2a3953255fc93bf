"""What is due for review, at the start of a lesson: the questions' cards, or one calm line."""

from __future__ import annotations

import html
import os
import re
from datetime import datetime
from typing import Any

import ipywidgets

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.review import AT_MOST, ReviewPlan, review_plan
from labs_lib.assessment.show import Panel
from labs_lib.errors import choice_error
from labs_lib.widgets.question_card import QuestionCard

_NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"  # where JupyterLab tells a kernel its notebook's path


def review(lesson: str | None = None, at_most: int = AT_MOST) -> ReviewCards | Panel:
    """Return the cards of the questions that are due; show it as a cell's result.

    They are `at_most` questions of the lessons before `lesson`, such as "04"; without it of those
    before the lesson whose notebook this is, and of all lessons where that is not known. Where
    nothing is due, one line says so. Raises LabError for an unknown lesson.
    """
    now = datetime.now().astimezone()
    plan = review_plan(now, lesson if lesson is not None else _lesson_here()).first(at_most)
    if plan.due:
        given = [] if lesson is None else [f'"{lesson}"']
        if at_most != AT_MOST:
            given.append(f"at_most={at_most}")
        return ReviewCards(plan, f"review({', '.join(given)})")
    return Panel("", plan.heading)


class ReviewCards(ipywidgets.VBox):
    """The cards of the due questions, under a sentence on how many there are.

    `call` is the code that makes them, for those who answer in code.
    """

    def __init__(self, plan: ReviewPlan, call: str):
        self._heading = plan.heading
        self._cards = {
            item.question.id: QuestionCard(item.asked(), f'{call}.card("{item.question.id}")')
            for item in plan.due
        }
        heading = ipywidgets.HTML(f"<p>{html.escape(self._heading)}</p>")
        super().__init__([heading, *self._cards.values()])
        self.add_class("labs-review")

    @property
    def question_ids(self) -> tuple[str, ...]:
        """Return the ids of the due questions, in the order shown."""
        return tuple(self._cards)

    def card(self, question_id: str) -> QuestionCard:
        """Return the card of one of the questions; LabError for one that is not among them."""
        if question_id not in self._cards:
            raise choice_error("question", question_id, self._cards)
        return self._cards[question_id]

    @property
    def text(self) -> str:
        """Return the sentence and the questions as plain text."""
        return "\n\n".join([self._heading, *(card.text for card in self._cards.values())])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        still = "".join(card.still for card in self._cards.values())
        heading = f"<p>{html.escape(self._heading)}</p>"
        return {**bundle, "text/plain": self.text, "text/html": heading + still}


def _lesson_here() -> str | None:
    """Return the lesson whose notebook runs this, if the server told its name."""
    name = re.split(r"[/\\]", os.environ.get(_NOTEBOOK_VARIABLE, ""))[-1]
    lesson = lesson_id(name)
    return lesson if name.endswith(".ipynb") and lesson in load_banks() else None
