"""The card of an exercise's lines: put them in order by buttons or by their letters."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from labs_lib.assessment import progress
from labs_lib.assessment.answers import listed
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.lines import lines_of
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.outcomes import NOT_ATTEMPTED, is_blank
from labs_lib.assessment.show import Panel, outcome_panel, with_note
from labs_lib.colors import THEME_FAINT, THEME_LINE
from labs_lib.widgets.question_inputs import Line

INSTRUCTION = "Move the lines until the function works, or type their letters in order."
DECOYS = "Not every line is needed: leave out those that are not."
START = "Move a line first: this is the order in which they are shown."
EMPTY = "Put the lines in order first, or type their letters."


def arrange(exercise_id: str) -> ArrangeCard:
    """Return the lines of an exercise's solution, shuffled; show it as a cell's result.

    LabError for an unknown exercise, and for one that asks for no function of several lines.
    """
    return ArrangeCard(exercise_id)


class ArrangeCard(ipywidgets.VBox):
    """The lines of a function to be put in order, judged as the exercise judges the function.

    Each row holds the line in its place; ↑ and ↓ move the line, and the focus goes with it. Made of
    core widgets; what a notebook stores of it holds none of the lines.
    """

    def __init__(self, exercise_id: str):
        self._exercise = find_exercise(exercise_id)
        self._lines = lines_of(self._exercise)
        # The letters in the order of the rows; those from `_used` on are left out.
        self._order = list(self._lines.letters)
        self._used = len(self._order)
        self._rows = [_Row(self, place) for place in range(len(self._order))]
        self._typed = Line(",".join(reversed(self._order)), self.check)
        (field,) = self._typed.parts
        field.description = "Order"
        self._check = ipywidgets.Button(
            description="Check", button_style="primary", tooltip="Try the lines in this order"
        )
        self._check.on_click(lambda _: self.check())
        self._feedback = ipywidgets.HTML()
        super().__init__(
            [
                ipywidgets.HTML(self._head_html()),
                *(row.box for row in self._rows),
                ipywidgets.HBox([field, self._check]),
                self._feedback,
            ]
        )
        for part, name in (
            (self, "labs-arrange"),
            (self._check, "labs-submit"),
            (self._feedback, "labs-feedback"),
        ):
            part.add_class(name)
        self.add_class("labs-arrange-" + exercise_id.replace(".", "-"))
        self.layout.border_left = f"3px solid {THEME_LINE}"
        self.layout.padding = "4px 12px"
        self.layout.margin = "4px 0"
        self._restore()

    @property
    def exercise_id(self) -> str:
        """Return the id of the exercise."""
        return self._exercise.id

    @property
    def order(self) -> str:
        """Return the letters of the lines that are used, in order: "c,a,b"."""
        return ",".join(self._order[: self._used])

    @property
    def text(self) -> str:
        """Return what stands for the card where it is not live; it holds no line."""
        return f"The lines of {self.exercise_id}, to be put in order: in the live page."

    def check(self) -> Panel:
        """Judge the order that stands in the field, which the buttons keep in step."""
        return self.submit(self._typed.answer)

    def submit(self, answer: Any) -> Panel:
        """Judge an order of letters, record it unless blank, show the outcome and return it."""
        answer = listed(answer)  # an iterator can be read once; it is judged, kept and shown
        outcome = self._lines.judge(answer)
        note = ""
        if outcome.status == NOT_ATTEMPTED:
            panel = outcome_panel("", outcome.status, EMPTY if is_blank(answer) else START)
        else:
            order = self._lines.read(answer)
            if isinstance(order, list):
                self._take(order)
                note = self._recorded(outcome.status, outcome.misconception)
            panel = outcome_panel("", outcome.status, with_note(outcome.message, note))
        self._feedback.value = panel.html
        return panel

    def move(self, place: int, by: int) -> None:
        """Move the line in a row (0 is the first) up (-1) or down (1), if it is used."""
        other = place + by
        if min(place, other) >= 0 and max(place, other) < self._used:
            rows = self._order
            rows[place], rows[other] = rows[other], rows[place]
            self._show_order()
            self._rows[other].focus(by)

    def leave_out(self, place: int) -> None:
        """Put the line in a row among those that are left out, or back among the others."""
        letter = self._order.pop(place)
        if place < self._used:
            self._used -= 1
            self._order.insert(self._used, letter)
        else:
            self._order.insert(self._used, letter)
            self._used += 1
        self._show_order()

    def _recorded(self, status: str, misconception: str) -> str:
        """Record the attempt as help with the exercise, never as an answer to it."""
        return progress.try_to_record(
            "arranged",
            self.exercise_id,
            outcome=status,
            response=self.order,
            misconception=misconception,
            bank=self._lines.fingerprint,
        )

    def _restore(self) -> None:
        """Show the lines as they were left, if they are the same lines still."""
        events, _ = progress.try_to_read()
        last = next(
            (
                event
                for event in reversed(events)
                if event["event"] == "arranged"
                and event["id"] == self.exercise_id
                and event.get("bank") == self._lines.fingerprint
            ),
            None,
        )
        order = self._lines.read(last.get("response")) if last else []
        self._take(order if isinstance(order, list) and order else list(self._lines.letters))
        if last and last.get("outcome") == "correct":
            self._feedback.value = outcome_panel("", "correct", "You put these in order.").html

    def _take(self, order: list[str]) -> None:
        left_out = [letter for letter in self._lines.letters if letter not in order]
        self._order = [*order, *left_out]
        self._used = len(order)
        self._show_order()

    def _show_order(self) -> None:
        for place, (row, letter) in enumerate(zip(self._rows, self._order, strict=True)):
            row.show(letter, self._lines.shown[LETTERS.index(letter)], place < self._used)
        self._typed.show(self.order)

    def _head_html(self) -> str:
        task = f"{INSTRUCTION} {DECOYS}" if self._exercise.decoys else INSTRUCTION
        return (
            f'<div style="line-height:1.5"><strong>{html.escape(self._exercise.title)}: '
            "put the lines in order</strong>"
            f'<div style="color:{THEME_FAINT}">{html.escape(task)}</div>'
            f"{_code(self._lines.given)}</div>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self.text, "text/html": f"<p>{html.escape(self.text)}</p>"}


class _Row:
    """One place in the order: the line that stands there, and the buttons that move it."""

    def __init__(self, card: ArrangeCard, place: int):
        self._code = ipywidgets.HTML(layout=ipywidgets.Layout(width="560px", max_width="75%"))
        self._up = _button("↑", lambda: card.move(place, -1))
        self._down = _button("↓", lambda: card.move(place, 1))
        self._out = _button("", lambda: card.leave_out(place), width="90px")
        buttons = [self._up, self._down]
        if card._exercise.decoys:
            buttons.append(self._out)
        self.box = ipywidgets.HBox([*buttons, self._code])
        self.box.layout.align_items = "center"
        self.box.add_class("labs-line")

    def show(self, letter: str, line: str, used: bool) -> None:
        """Show a line in this place, faded where it is left out."""
        self._code.value = f'<div style="opacity:{1 if used else 0.45}">{_code(line, letter)}</div>'
        self._up.tooltip = f"Move line {letter} up"
        self._down.tooltip = f"Move line {letter} down"
        self._out.description = "leave out" if used else "put back"
        self._out.tooltip = f"{self._out.description.capitalize()}: line {letter}"
        self._up.disabled = self._down.disabled = not used

    def focus(self, by: int) -> None:
        """Let the key that moved the line here move it on."""
        (self._up if by < 0 else self._down).focus()


def _button(sign: str, act: Any, width: str = "36px") -> ipywidgets.Button:
    button = ipywidgets.Button(description=sign, layout=ipywidgets.Layout(width=width))
    button.on_click(lambda _: act())
    return button


def _code(text: str, letter: str = "") -> str:
    """Return code as HTML, with its indentation; the letter that names it stands to the left."""
    head = f'<span style="color:{THEME_FAINT};width:2em">{letter})</span>' if letter else ""
    return (
        f'<div style="display:flex;line-height:1.4">{head}<pre style="margin:0;line-height:1.4;'
        "white-space:pre-wrap;background:none;"
        f'font-family:var(--jp-code-font-family, monospace)">{html.escape(text)}</pre></div>'
    )
