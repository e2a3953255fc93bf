"""The question card: read, answer, see why, try again; and the same from code, by `submit`."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from labs_lib.assessment import progress
from labs_lib.assessment.answers import listed
from labs_lib.assessment.banks import find_question
from labs_lib.assessment.grading import grade
from labs_lib.assessment.interactions import Order, Program, lettered
from labs_lib.assessment.outcomes import CORRECT, NOT_ATTEMPTED, Outcome, Response
from labs_lib.assessment.show import (
    Panel,
    markdown_html,
    markdown_inline_html,
    outcome_panel,
    with_note,
)
from labs_lib.colors import THEME_FAINT, THEME_LINE
from labs_lib.widgets.question_inputs import input_for


def ask(question_id: str) -> QuestionCard:
    """Return the card of a question, with the student's last answer; show it as a cell's result.

    LabError names the nearest id for one that is in no bank.
    """
    return QuestionCard(question_id)


class QuestionCard(ipywidgets.VBox):
    """One question: its text, a way to answer, Submit, Hint, and what became of the answer.

    Made of core widgets, in the order of the Tab key; nothing of the answer is in the browser
    before it is submitted.
    """

    def __init__(self, question_id: str):
        self._bank, original = find_question(question_id)
        self._seed = progress.student_seed() if original.depends_on_seed else 0
        self._question = original.draw(self._seed)
        self._head = ipywidgets.HTML(self._head_html())
        self._input = input_for(self._question, lambda: self.submit(self._typed()))
        self._inputs = self._input.parts
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
        self.add_class("labs-card-" + question_id.replace(".", "-"))
        self.layout.border_left = f"3px solid {THEME_LINE}"
        self.layout.padding = "4px 12px"
        self.layout.margin = "4px 0"
        self._restore()
        self._submit.on_click(lambda _: self.submit(self._typed()))
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
        code = f'ask("{question.id}").submit({question.example})'
        lines.append(f"{question.instruction} From code: {code}")
        return "\n".join(lines)

    def submit(self, answer: Any) -> Panel:
        """Grade an answer, record it unless blank, show the outcome and return it."""
        answer = listed(answer)  # an iterator can be read once; it is graded, kept and shown
        outcome = grade(self._question, Response(self.question_id, answer, self._seed))
        note = ""
        if outcome.status != NOT_ATTEMPTED:
            note = progress.record_answer(
                self.question_id,
                answer,
                bank=self._bank.sha256[:16],
                outcome=outcome.status,
                misconception=outcome.misconception,
                seed=self._seed,
            )
        self._fill_in(answer)
        return self._show(outcome, note)

    def hint(self) -> None:
        """Show the hint under the question, and record that it was seen."""
        note = progress.try_to_record("hint", self.question_id)
        self._hint_text.value = Panel("Hint", with_note(self._question.hint, note)).html

    def _show(self, outcome: Outcome, note: str = "") -> Panel:
        message = outcome.message
        if outcome.status == CORRECT:
            message += f"\n\nSource: {self._question.source}"
        panel = outcome_panel("", outcome.status, with_note(message, note))
        self._feedback.value = panel.html
        self._submit.description = "Submit again"
        return panel

    def _restore(self) -> None:
        """Show the last answer and what became of it."""
        events, _ = progress.try_to_read()
        own = [event for event in events if event["id"] == self.question_id]
        state = progress.item_states(own).get(self.question_id)
        if state is None or state.status == NOT_ATTEMPTED or state.seed != self._seed:
            return
        self._fill_in(state.response)
        if isinstance(self._question.interaction, Program) or state.response_cut:
            # The student's code does not run again just because the notebook was opened, and what
            # was too long to be kept cannot be graded again.
            message = self._question.explanation if state.status == CORRECT else "Your last answer."
            self._show(Outcome(state.status, message))
        else:
            response = Response(self.question_id, state.response, self._seed)
            self._show(grade(self._question, response))

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

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        lines = lettered(self._question.interaction)
        options = "".join(f"<li>{markdown_inline_html(line)}</li>" for line in lines)
        still = markdown_html(self._question.prompt)
        if options:
            still += f'<ul style="list-style:none">{options}</ul>'
        return {**bundle, "text/plain": self.text, "text/html": still}
