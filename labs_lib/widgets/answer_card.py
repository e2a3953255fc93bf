"""The card of an interview question: the answer taken apart, ticks, slips and evidence."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets

from labs_lib.assessment.show import markdown_html
from labs_lib.colors import ORANGE, THEME_FAINT, THEME_LINE
from labs_lib.interview import Bound, Examination, bind, evidence, examine, find
from labs_lib.interview.examining import Point
from labs_lib.interview.records import last_spoken, legal_ticks, record_spoken

RULES_ONLY = (
    "Only words are compared here. Nobody has judged your answer: read it against the points and "
    "tick what it says."
)


def take_apart(question_id: str, answer: str | None = None, seed: int | None = None) -> AnswerCard:
    """Return the card of an interview question, with an answer taken apart; show it as a result.

    Without an answer the card holds the last one that was recorded, or an empty field. `seed` draws
    other numbers where the question has some. Raises `LabError` for an unknown question.
    """
    return AnswerCard(question_id, answer, seed)


class PointBoxes(ipywidgets.VBox):
    """The key points of a question as boxes to tick, each above the nearest of one's own words."""

    def __init__(self, examination: Examination, ticked: Iterable[int] = ()):
        wide = ipywidgets.Layout(width="auto", max_width="100%")
        self._boxes = []
        parts: list[Any] = []
        for number, point in enumerate(examination.points, start=1):
            box = ipywidgets.Checkbox(
                value=number in set(ticked), description=f"{number}. {point.text}", indent=False,
                layout=wide,
            )  # fmt: skip
            box.style.description_width = "initial"
            box.add_class("labs-point")
            self._boxes.append(box)
            parts.append(box)
            if point.nearest:
                parts.append(ipywidgets.HTML(_nearest_html(point)))
        super().__init__(parts)

    @property
    def ticked(self) -> tuple[int, ...]:
        """Return the numbers of the ticked points, from 1."""
        return tuple(number for number, box in enumerate(self._boxes, start=1) if box.value)

    def tick(self, numbers: Iterable[int]) -> None:
        """Tick these points, and no others."""
        wanted = legal_ticks(numbers, len(self._boxes))
        for number, box in enumerate(self._boxes, start=1):
            box.value = number in wanted


class AnswerCard(ipywidgets.VBox):
    """A question, a field for the answer, and what rules and the student's own numbers say of it.

    Made of core widgets. `answer` and `tick` do the same from code.
    """

    def __init__(self, question_id: str, answer: str | None = None, seed: int | None = None):
        self._question = find(question_id).draw(seed)
        self._evidence = evidence(question_id, seed)
        given = f", seed={seed}" if seed is not None else ""
        self._call = f'take_apart("{question_id}", "your answer"{given})'
        self._field = text_area()
        self._apart = button("Take apart", "Show points, slips and evidence", self._read, True)
        self._record = button("Record ticks", "Keep the answer and the ticks", self._keep)
        self._below = ipywidgets.VBox()
        self._note = ipywidgets.HTML()
        self._points: PointBoxes | None = None
        self.examination = examine(self._question, "")
        head = ipywidgets.HTML(question_html(self._question.question))
        super().__init__([head, self._field, self._apart, self._below])
        frame(self, "labs-interview-answer")
        before = last_spoken(self._question) if answer is None else None
        if before is not None and before.text:
            self.answer(before.text)
            self.tick(before.ticked, record=False)
        elif answer is not None:
            self.answer(answer)

    def answer(self, text: str) -> Examination:
        """Take an answer apart and show the result; return it. `LabError` for what is no text."""
        self.examination = examine(self._question, text)
        self._field.value = text
        self._note.value = ""
        if self.examination.is_blank:
            self._below.children = (ipywidgets.HTML("<p>Write an answer first.</p>"),)
            return self.examination
        self._points = PointBoxes(self.examination)
        self._below.children = (
            ipywidgets.HTML(length_html(self.examination)),
            self._points,
            ipywidgets.HTML(rest_html(self.examination, self._evidence_html())),
            self._record,
            self._note,
        )
        return self.examination

    def tick(self, numbers: Iterable[int], record: bool = True) -> None:
        """Tick the points with these numbers, from 1, and record the answer with them.

        Raises `LabError` for another number. Without an answer nothing is ticked.
        """
        if self._points is not None:
            self._points.tick(numbers)
            if record:
                self._keep()

    @property
    def ticked(self) -> tuple[int, ...]:
        """Return the numbers of the ticked points."""
        return self._points.ticked if self._points is not None else ()

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return the numbers of the answer, each with the evidence that gives it, or with none."""
        return bind(self.examination.answer, self._evidence)

    @property
    def text(self) -> str:
        """Return the card as plain text."""
        question, found = self._question, self.examination
        lines = [f"Interview question {question.id}", question.question]
        if found.is_blank:
            return "\n".join([*lines, f"Write your answer here, or from code: {self._call}"])
        lines += [found.length, "Key points, to be ticked by their numbers, `.tick([1, 3])`:"]
        for number, point in enumerate(found.points, start=1):
            mark = "x" if number in self.ticked else " "
            lines.append(f"[{mark}] {number}. {point.text}")
            if point.nearest:
                lines.append(f"       nearest in your words: “{short(point.nearest)}”")
        lines += [
            f"You may have written “{short(each.words)}”: check. {each.slip.check}"
            for each in found.slips
        ]
        lines += ["Evidence:", self._evidence.plain]
        if self.bound:
            lines += ["Your numbers:", *(f"- {each.text}" for each in self.bound)]
        lines.append("Asked next:")
        return "\n".join([*lines, *(f"- {each}" for each in question.next), RULES_ONLY])

    @property
    def still(self) -> str:
        """Return the card as HTML, for a page that has no kernel."""
        head = question_html(self._question.question)
        if self.examination.is_blank:
            code = html.escape(self._call)
            return f"{head}<p>Answer in the live page, or from code: <code>{code}</code></p>"
        said = f"<blockquote>{html.escape(self.examination.answer)}</blockquote>"
        points = "".join(
            f"<li>{'☑' if number in self.ticked else '☐'} {html.escape(point.text)}"
            f"{_nearest_html(point)}</li>"
            for number, point in enumerate(self.examination.points, start=1)
        )
        rest = rest_html(self.examination, self._evidence_html())
        listed = f'<ul style="list-style:none">{points}</ul>'
        return f"{head}{said}{length_html(self.examination)}{listed}{rest}"

    def _evidence_html(self) -> str:
        bound = "".join(f"<li>{html.escape(each.text)}</li>" for each in self.bound)
        numbers = f"<p>Your numbers</p><ul>{bound}</ul>" if bound else ""
        return f"{self._evidence.table()._repr_html_()}{numbers}"

    def _read(self) -> None:
        self.answer(self._field.value)

    def _keep(self) -> None:
        note = record_spoken(self.examination, self.ticked)
        count = f"{len(self.ticked)} of {len(self.examination.points)} points ticked."
        self._note.value = f"<p>{html.escape(note or f'Recorded: {count}')}</p>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": self.text, "text/html": self.still}


def _nearest_html(point: Point) -> str:
    if not point.nearest:
        return ""
    near = html.escape(f"nearest in your words: “{short(point.nearest)}”")
    return f'<div style="color:{THEME_FAINT};margin:-2px 0 4px 24px">{near}</div>'


def question_html(question: str) -> str:
    """Return a question, which is Markdown, as HTML."""
    return f'<div style="line-height:1.5">{markdown_html(question)}</div>'


def length_html(examination: Examination) -> str:
    """Return the length of an answer, and that only words are compared."""
    faint = f'<p style="color:{THEME_FAINT}">{html.escape(RULES_ONLY)}</p>'
    return f"<p>{html.escape(examination.length)}</p>{faint}"


def rest_html(examination: Examination, evidence_table: str) -> str:
    """Return slips with the student's own words marked, evidence, and what is asked next."""
    parts: list[str] = []
    for found in examination.slips:
        words = f"<mark>{html.escape(short(found.words))}</mark>"
        parts.append(
            f'<p style="border-left:4px solid {ORANGE};padding-left:8px">You may have written '
            f"“{words}”: check. {html.escape(found.slip.check)}</p>"
        )
    if evidence_table:
        parts.append(f"<p><strong>Evidence</strong></p>{evidence_table}")
    asked = "".join(f"<li>{html.escape(each)}</li>" for each in examination.question.next)
    return "".join([*parts, f"<p><strong>Asked next</strong></p><ul>{asked}</ul>"])


def short(text: str, limit: int = 160) -> str:
    """Return a text in one line, cut at `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def text_area() -> ipywidgets.Textarea:
    """Return a field for an answer of several lines."""
    # Sent when the field is left: a click on a button would overtake single letters.
    field = ipywidgets.Textarea(
        placeholder="Your answer, as you would say it", continuous_update=False, rows=6,
        layout=ipywidgets.Layout(width="100%", max_width="720px"),
    )  # fmt: skip
    field.add_class("labs-answer")
    return field


def button(
    name: str, tooltip: str, act: Callable[[], Any], primary: bool = False
) -> ipywidgets.Button:
    """Return a button that calls `act`."""
    button = ipywidgets.Button(description=name, tooltip=tooltip)
    button.button_style = "primary" if primary else ""
    button.on_click(lambda _: act())
    return button


def frame(card: ipywidgets.VBox, name: str) -> None:
    """Give a card the look of the course's cards and the class `name`."""
    card.add_class(name)
    card.layout.border_left = f"3px solid {THEME_LINE}"
    card.layout.padding = "4px 12px"
    card.layout.margin = "4px 0"
