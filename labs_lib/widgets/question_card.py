"""The question card: read, answer, see why, try again; and the same from code, by `submit`."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from labs_lib.assessment import progress
from labs_lib.assessment.answers import listed
from labs_lib.assessment.asking import Asked
from labs_lib.assessment.grading import grade
from labs_lib.assessment.interactions import Order, Program, lettered
from labs_lib.assessment.outcomes import CORRECT, NOT_ATTEMPTED, Outcome, Response
from labs_lib.assessment.show import Panel, markdown_html, markdown_inline_html
from labs_lib.colors import THEME_FAINT, THEME_LINE
from labs_lib.widgets.question_inputs import ConfidenceButtons, input_for


def ask(question_id: str) -> QuestionCard:
    """Return the card of a question, with the student's last answer; show it as a cell's result.

    LabError names the nearest id for one that is in no bank.
    """
    card = QuestionCard(Asked(question_id), f'ask("{question_id}")')
    card.restore()
    return card


class QuestionCard(ipywidgets.VBox):
    """One question: its text, a way to answer, how sure one is, Submit, Hint, and the outcome.

    Made of core widgets, in the order of the Tab key; nothing of the answer is in the browser
    before it is submitted. `call` is the code that makes this card, for those who answer in code.
    """

    def __init__(self, asked: Asked, call: str):
        self._asked = asked
        self._call = call
        self._question = asked.question
        self._head = ipywidgets.HTML(self._head_html())
        self._input = input_for(self._question, self._submit_typed)
        self._inputs = self._input.parts
        self._confidence = ConfidenceButtons()
        self._submit = ipywidgets.Button(
            description="Submit", button_style="primary", tooltip="Grade this answer"
        )
        self._hint = ipywidgets.Button(description="Hint", tooltip="Show a hint")
        self._hint_text = ipywidgets.HTML()
        self._feedback = ipywidgets.HTML()
        super().__init__(
            [
                self._head,
                *self._inputs,
                self._confidence.widget,
                ipywidgets.HBox([self._submit, self._hint]),
                self._hint_text,
                self._feedback,
            ]
        )
        for part, name in (
            (self, "labs-card"),
            (self._submit, "labs-submit"),
            (self._hint, "labs-hint"),
            (self._hint_text, "labs-hint-text"),
            (self._feedback, "labs-feedback"),
        ):
            part.add_class(name)
        self.add_class("labs-card-" + self.question_id.replace(".", "-"))
        self.layout.border_left = f"3px solid {THEME_LINE}"
        self.layout.padding = "4px 12px"
        self.layout.margin = "4px 0"
        self._submit.on_click(lambda _: self._submit_typed())
        self._hint.on_click(lambda _: self.hint())

    @property
    def question_id(self) -> str:
        """Return the id of the question."""
        return self._question.id

    @property
    def text(self) -> str:
        """Return the question as plain text; the same whatever was answered."""
        question = self._question
        lines = [f"Question {question.id}", question.prompt, *lettered(question.interaction)]
        code = f'{self._call}.submit({question.example}, confidence="sure")'
        lines.append(f"{question.instruction} From code: {code}; confidence may be left out")
        return "\n".join(lines)

    def submit(self, answer: Any, confidence: str | None = None) -> Panel:
        """Grade an answer, record it unless blank, show the outcome and return it.

        `confidence` is guess, unsure, fairly sure or sure, if it is stated; LabError for another.
        """
        answer = listed(answer)  # an iterator can be read once; it is graded, kept and shown
        panel = self._asked.answer(answer, confidence)
        self._fill_in(answer)
        self._confidence.show(confidence or "")
        return self._show(panel)

    def hint(self) -> None:
        """Show the hint under the question, and record that it was seen."""
        self._hint_text.value = self._asked.hint().html

    def restore(self) -> None:
        """Show the last answer to the question with these numbers, and what became of it."""
        events, _ = progress.try_to_read()
        seed = self._asked.seed
        own = [
            event
            for event in events
            if event["id"] == self.question_id and event.get("seed", seed) == seed
        ]
        state = progress.item_states(own).get(self.question_id)
        if state is None or state.status == NOT_ATTEMPTED or state.seed != seed:
            return
        self._fill_in(state.response)
        self._confidence.show(state.confidence)
        if isinstance(self._question.interaction, Program) or state.response_cut:
            # The student's code does not run again just because the notebook was opened, and what
            # was too long to be kept cannot be graded again.
            message = self._question.explanation if state.status == CORRECT else "Your last answer."
            outcome = Outcome(state.status, message)
        else:
            outcome = grade(self._question, Response(self.question_id, state.response, seed))
        self._show(self._asked.panel(outcome, state.confidence))

    def _show(self, panel: Panel) -> Panel:
        self._feedback.value = panel.html
        self._submit.description = "Submit again"
        return panel

    def _submit_typed(self) -> None:
        self.submit(self._typed(), self._confidence.confidence)

    def _head_html(self) -> str:
        parts = [f'<div style="line-height:1.5">{markdown_html(self._question.prompt)}']
        interaction = self._question.interaction
        if isinstance(interaction, Order):
            parts += [f"<div>{markdown_inline_html(line)}</div>" for line in lettered(interaction)]
        color = THEME_FAINT
        instruction = html.escape(self._question.instruction)
        parts.append(f'<div style="color:{color}">{instruction}</div></div>')
        return "".join(parts)

    def _typed(self) -> Any:
        """Return what stands in the inputs, as `submit` takes it."""
        return self._input.answer

    def _fill_in(self, answer: Any) -> None:
        """Put an answer into the inputs, if they can hold it."""
        self._input.show(progress.plain(answer))

    @property
    def still(self) -> str:
        """Return the question as HTML, for readers whose page has no kernel."""
        lines = lettered(self._question.interaction)
        options = "".join(f"<li>{markdown_inline_html(line)}</li>" for line in lines)
        still = markdown_html(self._question.prompt)
        if options:
            still += f'<ul style="list-style:none">{options}</ul>'
        return still

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self.text, "text/html": self.still}
