"""Moodle XML as Moodle's importer reads it (question/format/xml/format.php, 4.x and 5.x)."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export.parts import Exported, asked, options_of, orders_of, width_of
from labs_lib.assessment.questions import (
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    Question,
    SingleChoice,
    TextQuestion,
)
from labs_lib.assessment.show import markdown_html
from labs_lib.assessment.units import UNITS

LONGEST_IDNUMBER = 100
LONGEST_TAG = 50


def holds(question: Question) -> bool:
    """Return whether Moodle can ask it: it runs no Python."""
    return not isinstance(question, CodeQuestion)


def write(exported: Exported, path: Path) -> None:
    """Write one category a lesson, and its questions in it."""
    quiz = ET.Element("quiz")
    lesson: Bank | None = None
    for bank, question in exported.questions:
        if bank is not lesson:
            lesson = bank
            node = ET.SubElement(quiz, "question", type="category")
            # A slash would begin another category; doubled, it is one.
            title = f"{bank.lesson} {bank.title}".replace("/", "//")
            _text(node, "category", f"$course$/top/LoRA Lab/{title}", None)
        _question(quiz, question, exported.ordering_as_choice)
    ET.indent(quiz)
    ET.ElementTree(quiz).write(path, encoding="utf-8", xml_declaration=True)


def _question(quiz: ET.Element, question: Question, ordering_as_choice: bool) -> None:
    kinds = {"single": "multichoice", "multiple": "multichoice", "numeric": "numerical",
             "ordering": "ordering", "text": "shortanswer"}  # fmt: skip
    chosen = isinstance(question, OrderingQuestion) and ordering_as_choice
    node = ET.SubElement(quiz, "question", type="multichoice" if chosen else kinds[question.kind])
    _text(node, "name", question.id, None)
    _text(node, "questiontext", markdown_html(asked(question, items=chosen)), "html")
    _text(node, "generalfeedback", markdown_html(question.explanation), "html")
    _leaf(node, "defaultgrade", "1")
    _leaf(node, "idnumber", _short(question.id, LONGEST_IDNUMBER))
    tags = ET.SubElement(node, "tags")
    for tag in (f"lesson-{question.lesson}", question.objective,
                f"difficulty-{question.difficulty}"):  # fmt: skip
        ET.SubElement(ET.SubElement(tags, "tag"), "text").text = _short(tag, LONGEST_TAG)
    if isinstance(question, (SingleChoice, MultipleChoice)):
        _choice(node, question)
    elif isinstance(question, OrderingQuestion):
        (_orders if ordering_as_choice else _ordering)(node, question)
    elif isinstance(question, NumericQuestion):
        _numerical(node, question)
    elif isinstance(question, TextQuestion):
        _short_answer(node, question)
    hint = _text(node, "hint", markdown_html(question.hint), "html")
    if node.get("type") == "ordering":
        # Both are columns that must be filled, one a hint.
        ET.SubElement(hint, "shownumcorrect")
        _leaf(hint, "options", "1")


def _choice(node: ET.Element, question: SingleChoice | MultipleChoice) -> None:
    several = isinstance(question, MultipleChoice)
    _choice_settings(node, single=not several)
    right = sum(option.correct for option in question.options)
    wrong = len(question.options) - right
    for text, correct, feedback in options_of(question):
        share = 100 / right if correct else (-100 / wrong if several else 0)
        _answer(node, markdown_html(text), share, feedback, "html")


def _orders(node: ET.Element, question: OrderingQuestion) -> None:
    _choice_settings(node, single=True)
    for text, correct in orders_of(question):
        _answer(node, markdown_html(text), 100 if correct else 0, "", "html")


def _choice_settings(node: ET.Element, *, single: bool) -> None:
    _leaf(node, "single", "true" if single else "false")
    _leaf(node, "shuffleanswers", "true")
    _leaf(node, "answernumbering", "abc")
    if not single:
        ET.SubElement(node, "shownumcorrect")


def _ordering(node: ET.Element, question: OrderingQuestion) -> None:
    # Left out, Moodle would show six random items, and grade by neighbours.
    _leaf(node, "layouttype", "VERTICAL")
    _leaf(node, "selecttype", "ALL")
    _leaf(node, "selectcount", str(len(question.items)))
    _leaf(node, "gradingtype", "ALL_OR_NOTHING")
    _leaf(node, "showgrading", "HIDE")
    _leaf(node, "numberingstyle", "none")
    # Without it, the importer makes up two hints, looks for the second, and stops altogether.
    _leaf(node, "shownumcorrect", "1")
    for item in question.items:
        _answer(node, markdown_html(item.text), 1, "", "html")


def _numerical(node: ET.Element, question: NumericQuestion) -> None:
    answer = _answer(node, repr(question.answer), 100, "", None)
    _leaf(answer, "tolerance", repr(width_of(question)))
    for mistake in question.mistakes:
        wrong = _answer(node, repr(mistake.value), 0, mistake.feedback, None)
        _leaf(wrong, "tolerance", repr(question.tolerance.width(mistake.value)))
    if question.unit is None:
        _leaf(node, "showunits", "3")  # no unit
        return
    family, size = UNITS[question.unit]
    units = ET.SubElement(node, "units")
    same = {unit: other for unit, (group, other) in UNITS.items() if group == family}
    # The question's own first: a multiplier of 1 makes it the default.
    for unit in sorted(same, key=lambda unit: unit != question.unit):
        part = ET.SubElement(units, "unit")
        _leaf(part, "multiplier", f"{size / same[unit]:.15g}")
        _leaf(part, "unit_name", unit)
    # The unit is chosen from a list, and a wrong one costs the whole mark.
    _leaf(node, "unitgradingtype", "1")
    _leaf(node, "unitpenalty", "1")
    _leaf(node, "showunits", "2")
    _leaf(node, "unitsleft", "0")


def _short_answer(node: ET.Element, question: TextQuestion) -> None:
    _leaf(node, "usecase", "1" if question.case_sensitive else "0")
    for form in question.accept:
        _answer(node, _literal(form), 100, "", None)
    for mistake in question.mistakes:
        for form in mistake.match:
            _answer(node, _literal(form), 0, mistake.feedback, None)


def _literal(form: str) -> str:
    """Return a short answer in which a star is a star and no wildcard."""
    return form.replace("*", r"\*")


def _answer(
    node: ET.Element, text: str, share: float, feedback: str, form: str | None
) -> ET.Element:
    answer = ET.SubElement(node, "answer", fraction=f"{share:.7g}")
    if form:
        answer.set("format", form)
    ET.SubElement(answer, "text").text = text
    _text(answer, "feedback", markdown_html(feedback) if feedback else "", "html")
    return answer


def _text(node: ET.Element, tag: str, text: str, form: str | None) -> ET.Element:
    part = ET.SubElement(node, tag)
    if form:
        part.set("format", form)
    ET.SubElement(part, "text").text = text
    return part


def _leaf(node: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(node, tag).text = text


def _short(text: str, longest: int) -> str:
    """Return the text, or its start and a hash: cut alone, two could become one."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
