"""Moodle XML as Moodle's importer reads it (question/format/xml/format.php, 4.x and 5.x)."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export.parts import (
    Exported,
    asked,
    feedback_of,
    tags_of,
    title_of,
    width_of,
)
from labs_lib.assessment.interactions import (
    Choice,
    Interaction,
    Order,
    Program,
    Quantity,
    ShortText,
    lettered,
)
from labs_lib.assessment.questions import Question
from labs_lib.assessment.show import markdown_html
from labs_lib.assessment.units import UNITS

LONGEST_IDNUMBER = 100
LONGEST_TAG = 50
_TYPES: dict[type[Interaction], str] = {
    Choice: "multichoice",
    Order: "ordering",
    Quantity: "numerical",
    ShortText: "shortanswer",
}


def holds(question: Question) -> bool:
    """Return whether Moodle can ask it: it runs no Python."""
    return not isinstance(question.interaction, Program)


def write(exported: Exported, path: Path) -> None:
    """Write one category a lesson, and its questions in it."""
    quiz = ET.Element("quiz")
    lesson: Bank | None = None
    for bank, question in exported.questions:
        if bank is not lesson:
            lesson = bank
            node = ET.SubElement(quiz, "question", type="category")
            # A slash would begin another category; doubled, it is one.
            title = title_of(bank).replace("/", "//")
            _text(node, "category", f"$course$/top/LoRA Lab/{title}", None)
        _question(quiz, question, exported.ordering_as_choice)
    ET.indent(quiz)
    ET.ElementTree(quiz).write(path, encoding="utf-8", xml_declaration=True)


def _question(quiz: ET.Element, question: Question, ordering_as_choice: bool) -> None:
    interaction = question.interaction
    if ordering_as_choice and isinstance(interaction, Order):
        interaction = interaction.as_choice()
    node = ET.SubElement(quiz, "question", type=_TYPES[type(interaction)])
    _text(node, "name", question.id, None)
    _text(node, "questiontext", markdown_html(asked(question, items=ordering_as_choice)), "html")
    _text(node, "generalfeedback", markdown_html(question.explanation), "html")
    _leaf(node, "defaultgrade", "1")
    _leaf(node, "idnumber", _short(question.id, LONGEST_IDNUMBER))
    tags = ET.SubElement(node, "tags")
    for tag in tags_of(question):
        ET.SubElement(ET.SubElement(tags, "tag"), "text").text = _short(tag, LONGEST_TAG)
    match interaction:
        case Choice():
            _choice(node, interaction)
        case Order():
            _ordering(node, interaction)
            # An item has no feedback of its own; who has an order wrong reads all of it.
            said = "\n\n".join(f"{answer} {text}" for answer, text in feedback_of(question))
            letters = "\n\n".join(lettered(interaction))
            _text(node, "incorrectfeedback", markdown_html(f"{letters}\n\n{said}"), "html")
        case Quantity():
            _numerical(node, interaction)
        case ShortText():
            _short_answer(node, interaction)
        case Program():
            pass  # held by no Moodle
    hint = _text(node, "hint", markdown_html(question.hint), "html")
    if node.get("type") == "ordering":
        # Both are columns that must be filled, one a hint.
        ET.SubElement(hint, "shownumcorrect")
        _leaf(hint, "options", "1")


def _choice(node: ET.Element, choice: Choice) -> None:
    _leaf(node, "single", "false" if choice.several else "true")
    _leaf(node, "shuffleanswers", "true")
    _leaf(node, "answernumbering", "abc")
    if choice.several:
        ET.SubElement(node, "shownumcorrect")
    right = sum(offer.correct for offer in choice.offers)
    wrong = len(choice.offers) - right
    for text, correct, feedback in choice.offers:
        share = 100 / right if correct else (-100 / wrong if choice.several else 0)
        _answer(node, markdown_html(text), share, feedback, "html")


def _ordering(node: ET.Element, order: Order) -> None:
    # Left out, Moodle would show six random items, and grade by neighbors.
    _leaf(node, "layouttype", "VERTICAL")
    _leaf(node, "selecttype", "ALL")
    _leaf(node, "selectcount", str(len(order.offers)))
    _leaf(node, "gradingtype", "ALL_OR_NOTHING")
    _leaf(node, "showgrading", "HIDE")
    _leaf(node, "numberingstyle", "none")
    # Without it, the importer makes up two hints, looks for the second, and stops altogether.
    _leaf(node, "shownumcorrect", "1")
    for offer in order.in_order:
        _answer(node, markdown_html(offer.text), 1, "", "html")


def _numerical(node: ET.Element, quantity: Quantity) -> None:
    answer = _answer(node, repr(quantity.value), 100, "", None)
    _leaf(answer, "tolerance", repr(width_of(quantity)))
    for value, width, feedback in quantity.mistakes:
        wrong = _answer(node, repr(value), 0, feedback, None)
        _leaf(wrong, "tolerance", repr(width))
    if quantity.unit is None:
        _leaf(node, "showunits", "3")  # no unit
        return
    family, size = UNITS[quantity.unit]
    units = ET.SubElement(node, "units")
    same = {unit: other for unit, (group, other) in UNITS.items() if group == family}
    # The question's own first: a multiplier of 1 makes it the default.
    for unit in sorted(same, key=lambda unit: unit != quantity.unit):
        part = ET.SubElement(units, "unit")
        _leaf(part, "multiplier", f"{size / same[unit]:.15g}")
        _leaf(part, "unit_name", unit)
    # The unit is chosen from a list, and a wrong one costs the whole mark.
    _leaf(node, "unitgradingtype", "1")
    _leaf(node, "unitpenalty", "1")
    _leaf(node, "showunits", "2")
    _leaf(node, "unitsleft", "0")


def _short_answer(node: ET.Element, words: ShortText) -> None:
    _leaf(node, "usecase", "1" if words.case_sensitive else "0")
    for form in words.accept:
        _answer(node, _literal(form), 100, "", None)
    for forms, feedback in words.mistakes:
        for form in forms:
            _answer(node, _literal(form), 0, feedback, None)


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
