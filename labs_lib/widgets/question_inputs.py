"""The ways to answer in a question card, one for each interaction, made of core widgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets

from labs_lib.assessment.answers import CUT
from labs_lib.assessment.confidence import STEPS
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.interactions import Choice, Program, lettered, offers_of
from labs_lib.assessment.letters import LETTERS, read_letters
from labs_lib.assessment.questions import Question
from labs_lib.assessment.short_texts import normal_form

# A page sends Enter first, and the text that Enter ends at once after it.
TEXT_FOLLOWS_SECONDS = 0.2


class AnswerInput(Protocol):
    """The widgets of one way to answer, and what stands in them."""

    parts: list[Any]

    @property
    def answer(self) -> Any:
        """Return what was chosen or typed, as `submit` takes it."""
        ...

    def show(self, answer: Any) -> None:
        """Put an answer of plain JSON into the widgets, if they can hold it."""
        ...


def input_for(question: Question, on_enter: Callable[[], Any]) -> AnswerInput:
    """Return the way to answer a question; a line that is typed calls `on_enter` at its end."""
    match question.interaction:
        case Choice(several=False) as choice:
            return OneOption(choice)
        case Choice() as choice:
            return SeveralOptions(choice)
        case Program(exercise):
            return CodeArea(find_exercise(exercise).starter)
        case _:
            return Line(question.example.strip('"'), on_enter)


class OneOption:
    """A row of radio buttons, none of them chosen at first."""

    def __init__(self, choice: Choice):
        self._choice = choice
        options = list(zip(_labels(choice), LETTERS, strict=False))
        self._radio = ipywidgets.RadioButtons(options=options, value=None, layout=_wide())
        self._radio.add_class("labs-options")
        self.parts: list[Any] = [self._radio]

    @property
    def answer(self) -> str | None:
        """Return the letter of the chosen option; None before there is one."""
        return self._radio.value

    def show(self, answer: Any) -> None:
        """Choose the one option that an answer names, or none."""
        letters = _letters_in(answer, self._choice)
        self._radio.value = letters[0] if len(letters) == 1 else None


class SeveralOptions:
    """A box to tick for each option."""

    def __init__(self, choice: Choice):
        self._choice = choice
        wide = _wide()
        self._boxes = [
            ipywidgets.Checkbox(description=label, value=False, indent=False, layout=wide)
            for label in _labels(choice)
        ]
        for box in self._boxes:
            box.add_class("labs-options")
        self.parts: list[Any] = list(self._boxes)

    @property
    def answer(self) -> list[str]:
        """Return the letters of the ticked boxes."""
        boxes = zip(LETTERS, self._boxes, strict=False)
        return [letter for letter, box in boxes if box.value]

    def show(self, answer: Any) -> None:
        """Tick the boxes of the options that an answer names."""
        letters = _letters_in(answer, self._choice)
        for letter, box in zip(LETTERS, self._boxes, strict=False):
            box.value = letter in letters


class Line:
    """One line of text.

    The page sends it when it is left or entered, not by the letter: a letter is held back while an
    earlier one is on its way, and would be overtaken by a click on Submit.
    """

    def __init__(self, placeholder: str, on_enter: Callable[[], Any]):
        self._field = ipywidgets.Text(
            description="Your answer", placeholder=placeholder, continuous_update=False
        )
        self._field.style.description_width = "initial"
        self._field.add_class("labs-answer")
        self._field.on_msg(self._on_message)
        self._on_enter = on_enter
        self.parts: list[Any] = [self._field]

    @property
    def answer(self) -> str:
        """Return the text."""
        return self._field.value

    def show(self, answer: Any) -> None:
        """Write an answer into the line, unless it is blank."""
        text = _as_text(answer)
        if text is not None:
            self._field.value = text

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("event") != "submit":
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so no text on its way to it
            self._on_enter()
        else:
            loop.call_later(TEXT_FOLLOWS_SECONDS, self._on_enter)


class CodeArea:
    """Several lines of code, the starter at first; the page sends them when they are left."""

    def __init__(self, starter: str):
        self._area = ipywidgets.Textarea(
            value=starter,
            description="Your code",
            rows=8,
            layout=_wide(),
            continuous_update=False,
        )
        self._area.add_class("labs-answer")
        self._area.layout.width = "640px"
        self.parts: list[Any] = [self._area]

    @property
    def answer(self) -> str:
        """Return the source text."""
        return self._area.value

    def show(self, answer: Any) -> None:
        """Write code into the area, unless it was cut: a part is worse than what stands there."""
        text = _as_text(answer)
        if text is not None and not (isinstance(answer, str) and text.endswith(CUT)):
            self._area.value = text


class ConfidenceButtons:
    """How sure the student is, a radio button for each step; none need be chosen.

    A slider sends every step on its way, and a click on Submit may overtake the last of them.
    """

    def __init__(self) -> None:
        self.widget = ipywidgets.RadioButtons(
            options=[("not said", ""), *((step, step) for step in STEPS)],
            value="",
            description="How sure are you?",
            orientation="horizontal",
            style={"description_width": "initial"},
            layout=_wide(),
        )
        self.widget.add_class("labs-confidence")

    @property
    def confidence(self) -> str:
        """Return the chosen step, or an empty text."""
        return self.widget.value or ""

    def show(self, confidence: str) -> None:
        """Choose a step, or "not said" for anything else."""
        self.widget.value = confidence if confidence in STEPS else ""


def _wide() -> ipywidgets.Layout:
    return ipywidgets.Layout(width="auto", max_width="720px")


def _labels(choice: Choice) -> list[str]:
    return [line.replace("`", "") for line in lettered(choice)]


def _letters_in(answer: Any, choice: Choice) -> list[str]:
    letters = read_letters(answer, [normal_form(offer.text) for offer in offers_of(choice)])
    return letters if isinstance(letters, list) else []


def _as_text(answer: Any) -> str | None:
    """Return an answer as one text, a list of texts joined by commas; None for a blank one."""
    if answer is None or answer == "...":
        return None
    if isinstance(answer, list) and all(isinstance(part, str) for part in answer):
        return ",".join(answer)
    return str(answer)
