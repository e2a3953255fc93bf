"""The card of a mock interview: one question at a time under a clock, then what to review."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets

from labs_lib.assessment.show import Panel
from labs_lib.interview import Examination, MockInterview, Summary
from labs_lib.interview.mock import Step
from labs_lib.widgets.answer_card import (
    PointBoxes,
    button,
    frame,
    length_html,
    question_html,
    rest_html,
    text_area,
)
from labs_lib.widgets.question_inputs import AnswerInput, ConfidenceButtons, input_for


def mock_interview(
    minutes: float = 20,
    seed: int | None = None,
    lessons: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> InterviewCard:
    """Return the card of a timed interview from all banks; show it as a cell's result.

    The arguments are those of `MockInterview`, which raises `LabError` for an illegal one.
    """
    return InterviewCard(MockInterview(minutes, seed, lessons, clock))


class InterviewCard(ipywidgets.VBox):
    """One question at a time under a clock, and at the end what to review.

    `start`, `answer`, `tick`, `next` and `stop` do from code what the buttons do.
    """

    def __init__(self, interview: MockInterview):
        self.interview = interview
        self._clock = ipywidgets.HTML()
        self._body = ipywidgets.VBox()
        self._reply = ipywidgets.VBox()
        self._input: AnswerInput | None = None
        self._confidence = ConfidenceButtons()
        self._points: PointBoxes | None = None
        self._go = button("Start", "Open the first question", self.next, True)
        self._submit = button("Answer", "Give this answer and stop the clock", self._typed, True)
        self._skip = button("Next question", "Leave or finish this question", self.next)
        self._end = button("End", "End the interview and show what to review", self.stop)
        self._buttons = ipywidgets.HBox([self._go])
        super().__init__([self._clock, self._body, self._reply, self._buttons])
        frame(self, "labs-interview")
        self._ticking: asyncio.Task[None] | None = None
        self._show_clock()

    def start(self) -> None:
        """Open the first question; the clock runs from here on."""
        if self.interview.step is None:
            self.next()

    def next(self) -> None:
        """Keep the ticks of the last answer and open the next question, or show the summary."""
        self._keep_ticks()
        step = self.interview.open()
        self._reply.children = ()
        if step is None:
            self._show_summary(self.interview.summary())
            return
        self._show_step(step)
        self._show_clock()
        _run_while_open(self)

    def answer(self, answer: Any, confidence: str | None = None) -> Examination | Panel:
        """Answer the open question, show what became of the answer and return it."""
        outcome = self.interview.answer(answer, confidence)
        if isinstance(outcome, Panel):
            self._reply.children = (ipywidgets.HTML(outcome.html),)
        elif outcome.is_blank:
            self._reply.children = (ipywidgets.HTML("<p>Write an answer first.</p>"),)
        else:
            self._points = PointBoxes(outcome)
            rest = ipywidgets.HTML(rest_html(outcome, ""))
            self._reply.children = (ipywidgets.HTML(length_html(outcome)), self._points, rest)
        if not self.interview.is_open:
            self._buttons.children = (self._skip, self._end)
        self._show_clock()
        return outcome

    def tick(self, numbers: Iterable[int]) -> None:
        """Tick the points that the last spoken answer made; `next` records them."""
        if self._points is not None:
            self._points.tick(numbers)

    def stop(self) -> Summary:
        """End the interview and show what to review; return it."""
        self._keep_ticks()
        summary = self.interview.stop()
        self._show_summary(summary)
        return summary

    @property
    def text(self) -> str:
        """Return the card as plain text."""
        interview = self.interview
        if interview.is_over:
            return interview.summary().plain
        if interview.step is None:
            return (
                f"Mock interview: {interview.minutes:g} minutes, seed {interview.seed}. In the "
                "live page, press Start. From code: card.start(), card.answer(…), "
                "card.tick([1, 3]), card.next(), card.stop()."
            )
        return f"{_left(interview.left_seconds)}\n{interview.step.text}"

    def _keep_ticks(self) -> None:
        if self._points is not None:
            self.interview.tick(self._points.ticked)
        self._points = None

    def _typed(self) -> None:
        if self._input is not None and self.interview.is_open:
            self.answer(self._input.answer, self._confidence.confidence or None)

    def _show_step(self, step: Step) -> None:
        parts: list[Any] = [
            ipywidgets.HTML(question_html(f"**Question {step.number}**\n\n{step.text}"))
        ]
        if step.quick is None:
            field = text_area()
            self._input = _Written(field)
            parts.append(field)
        else:
            self._input = input_for(step.quick.question, self._typed)
            self._confidence = ConfidenceButtons()
            parts += [
                ipywidgets.HTML(html.escape(step.quick.question.instruction)),
                *self._input.parts,
                self._confidence.widget,
            ]
        self._body.children = tuple(parts)
        self._buttons.children = (self._submit, self._skip, self._end)

    def _show_clock(self) -> None:
        self._clock.value = (
            f'<p style="font-variant-numeric:tabular-nums" role="timer">'
            f"{_left(self.interview.left_seconds)}</p>"
        )

    def _show_summary(self, summary: Summary) -> None:
        self._clock.value = ""
        self._body.children = (ipywidgets.HTML(_summary_html(summary)),)
        self._reply.children = ()
        self._buttons.children = ()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        still = f"<p>{html.escape(self.text)}</p>"
        if self.interview.is_over:
            still = _summary_html(self.interview.summary())
        return {**bundle, "text/plain": self.text, "text/html": still}


class _Written:
    """A field of several lines as a way to answer."""

    def __init__(self, field: ipywidgets.Textarea):
        self.parts: list[Any] = [field]

    @property
    def answer(self) -> str:
        """Return the text."""
        return self.parts[0].value

    def show(self, answer: Any) -> None:
        """Put a text into the field."""
        self.parts[0].value = str(answer)


def _run_while_open(card: InterviewCard) -> None:
    """Let the clock on the page run, where the kernel has a loop; from code it stands still."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    step = card.interview.step

    async def run() -> None:
        while card.interview.is_open and card.interview.step is step:
            card._show_clock()
            await asyncio.sleep(1)

    card._ticking = loop.create_task(run())  # kept, or it could be collected while it waits


def _summary_html(summary: Summary) -> str:
    page = f"<p>{html.escape(summary.heading)}</p>"
    if not summary.results:
        return page
    page += f"{summary.table()._repr_html_()}<p>{html.escape(summary.advice)}</p>"
    return page + summary.questions_table()._repr_html_()


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} left"
