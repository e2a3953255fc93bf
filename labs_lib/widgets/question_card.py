"""The question card: read, answer, see why, try again; and the same from code, by `submit`."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from labs_lib.assessment import progress
from labs_lib.assessment.answers import CUT, listed
from labs_lib.assessment.banks import find_question
from labs_lib.assessment.grading import grade, normal_form
from labs_lib.assessment.letters import read_letters
from labs_lib.assessment.questions import (
    CORRECT,
    LETTERS,
    NOT_ATTEMPTED,
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    Outcome,
    ParameterisedQuestion,
    Question,
    Response,
    SingleChoice,
    TextQuestion,
)
from labs_lib.assessment.show import (
    Panel,
    markdown_html,
    markdown_inline_html,
    outcome_panel,
    with_note,
)

_WAYS: dict[type, tuple[str, str]] = {
    # kind → (how to answer, an example for `submit`)
    SingleChoice: ("Choose one.", '"a"'),
    MultipleChoice: ("Choose every one that is right.", '"a,b"'),
    NumericQuestion: ("Type a number{unit}.", '"12.5"'),
    OrderingQuestion: ("Type the letters in the right order.", '"b,a,c"'),
    TextQuestion: ("Type a word or a name.", '"…"'),
    CodeQuestion: ("Write the function.", '"def …"'),
}


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
        self._original = original
        self._seed = 0
        if isinstance(original, ParameterisedQuestion):
            self._seed = progress.student_seed()
            self._question: Question = original.draw(self._seed)
        else:
            self._question = original
        self._head = ipywidgets.HTML(self._head_html())
        self._inputs = self._make_inputs()
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
        self.layout.border_left = "3px solid var(--jp-border-color1, #bdbdbd)"
        self.layout.padding = "4px 12px"
        self.layout.margin = "4px 0"
        self._restore()
        self._submit.on_click(lambda _: self.submit(self._typed()))
        self._hint.on_click(lambda _: self.hint())

    @property
    def question_id(self) -> str:
        """Return the id of the question."""
        return self._original.id

    @property
    def text(self) -> str:
        """Return the question as plain text; the same whatever was answered."""
        question = self._question
        lines = [f"Question {question.id}", question.prompt, *self._option_lines()]
        way, example = self._way()
        lines.append(f'{way} From code: ask("{question.id}").submit({example})')
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
        if isinstance(self._question, CodeQuestion) or state.response_cut:
            # The student's code does not run again just because the notebook was opened, and what
            # was too long to be kept cannot be graded again.
            message = self._question.explanation if state.status == CORRECT else "Your last answer."
            self._show(Outcome(state.status, message))
        else:
            response = Response(self.question_id, state.response, self._seed)
            self._show(grade(self._question, response))

    def _head_html(self) -> str:
        parts = [f'<div style="line-height:1.5">{markdown_html(self._question.prompt)}']
        if isinstance(self._question, OrderingQuestion):
            parts += [f"<div>{markdown_inline_html(line)}</div>" for line in self._option_lines()]
        way, _ = self._way()
        colour = "var(--jp-ui-font-color2, #616161)"
        parts.append(f'<div style="color:{colour}">{html.escape(way)}</div></div>')
        return "".join(parts)

    def _way(self) -> tuple[str, str]:
        way, example = _WAYS[type(self._question)]
        unit = getattr(self._question, "unit", None)
        return way.replace("{unit}", f" in {unit}" if unit else ""), example

    def _option_lines(self) -> list[str]:
        question = self._question
        if isinstance(question, (SingleChoice, MultipleChoice)):
            texts = [option.text for option in question.options]
        elif isinstance(question, OrderingQuestion):
            texts = [question.items[index].text for index in question.shown]
        else:
            return []
        return [f"{letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False)]

    def _make_inputs(self) -> list[Any]:
        question = self._question
        wide = ipywidgets.Layout(width="auto", max_width="720px")
        labels = [line.replace("`", "") for line in self._option_lines()]
        if isinstance(question, SingleChoice):
            options = list(zip(labels, LETTERS, strict=False))
            radio = ipywidgets.RadioButtons(options=options, value=None, layout=wide)
            radio.add_class("labs-options")
            return [radio]
        if isinstance(question, MultipleChoice):
            boxes = [
                ipywidgets.Checkbox(description=label, value=False, indent=False, layout=wide)
                for label in labels
            ]
            for box in boxes:
                box.add_class("labs-options")
            return boxes
        if isinstance(question, CodeQuestion):
            from labs_lib.assessment.exercises import find_exercise

            starter = find_exercise(question.exercise).starter
            area = ipywidgets.Textarea(value=starter, description="Your code", rows=8, layout=wide)
            area.add_class("labs-answer")
            area.layout.width = "640px"
            return [area]
        field = ipywidgets.Text(description="Your answer", placeholder=self._way()[1].strip('"'))
        field.style.description_width = "initial"
        field.add_class("labs-answer")
        field.on_msg(self._on_enter)
        return [field]

    def _on_enter(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("event") == "submit":
            self.submit(self._typed())

    def _typed(self) -> Any:
        """Return what stands in the inputs, as `submit` takes it."""
        if isinstance(self._question, MultipleChoice):
            boxes = zip(LETTERS, self._inputs, strict=False)
            return [letter for letter, box in boxes if box.value]
        return self._inputs[0].value

    def _fill_in(self, answer: Any) -> None:
        """Put an answer into the inputs, if they can hold it."""
        question = self._question
        kept = progress.plain(answer)
        if isinstance(question, (SingleChoice, MultipleChoice)):
            texts = [normal_form(option.text) for option in question.options]
            letters = read_letters(kept, texts)
            chosen = letters if isinstance(letters, list) else []
            if isinstance(question, MultipleChoice):
                for letter, box in zip(LETTERS, self._inputs, strict=False):
                    box.value = letter in chosen
            else:
                self._inputs[0].value = chosen[0] if len(chosen) == 1 else None
        elif kept is not None and kept != "...":
            cut = isinstance(kept, str) and kept.endswith(CUT)
            if isinstance(kept, list) and all(isinstance(part, str) for part in kept):
                kept = ",".join(kept)
            # Of code, a part is worse than what stands there.
            if not (cut and isinstance(question, CodeQuestion)):
                self._inputs[0].value = str(kept)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        options = "".join(f"<li>{markdown_inline_html(line)}</li>" for line in self._option_lines())
        still = markdown_html(self._question.prompt)
        if options:
            still += f'<ul style="list-style:none">{options}</ul>'
        return {**bundle, "text/plain": self.text, "text/html": still}
