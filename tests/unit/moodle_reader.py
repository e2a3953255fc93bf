"""Reads Moodle XML by the rules of Moodle's own importer, and stops where that stops.

Followed: question/format/xml/format.php (import_headers, import_multichoice, import_shortanswer,
import_numerical, import_category, import_hints, import_combined_feedback), question/format.php
(importprocess: grades must be in Moodle's list, and a question's notice or error ends the import),
and question/type/ordering/questiontype.php (import_from_xml, save_question_options); Moodle 5.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

# question_bank::fraction_options_full, without signs.
GRADES = (1, 0.9, 0.8333333, 0.8, 0.75, 0.7, 0.6666667, 0.6, 0.5, 0.4, 0.3333333, 0.3, 0.25, 0.2,
          0.1666667, 0.1428571, 0.125, 0.1111111, 0.1, 0.05, 0)  # fmt: skip
FORMATS = ("html", "moodle_auto_format", "plain_text", "markdown")


class StoppedError(Exception):
    """Where Moodle's import would end."""


@dataclass
class Imported:
    """A question as it stands in Moodle's database."""

    kind: str
    name: str
    text: str
    category: tuple[str, ...]
    idnumber: str
    tags: list[str]
    answers: list[str]
    fractions: list[float]
    feedback: list[str]
    tolerances: list[float] = field(default_factory=list)
    units: dict[str, float] = field(default_factory=dict)  # unit → multiplier, the default first
    settings: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    to_a_wrong_answer: str = ""

    def grade_number(self, text: str, unit: str | None) -> float:
        """Return the mark, as qtype_numerical_question::grade_response computes it."""
        value = float(text)
        known = unit in self.units
        scaled = value / self.units[unit] if known and unit else value
        for answer, fraction, tolerance in zip(
            self.answers, self.fractions, self.tolerances, strict=True
        ):
            for tried, right_unit in ((scaled, known), (value, False)):
                if abs(tried - float(answer)) <= tolerance * (1 + 1e-9):
                    if right_unit or not self.units:
                        return fraction
                    penalty = float(self.settings.get("unitpenalty", "0.1"))
                    graded = self.settings.get("unitgradingtype", "0") == "1"
                    return max(fraction * (1 - penalty), 0) if graded else fraction
        return 0.0


def read(path: Path) -> list[Imported]:
    """Return what Moodle would hold after the import; StoppedError where it would stop."""
    category: tuple[str, ...] = ()
    found: list[Imported] = []
    for node in ET.fromstring(path.read_bytes()).findall("question"):
        if node.get("type") == "category":
            category = _category(node.findtext("category/text") or "")
        else:
            found.append(_question(node, category))
    ids = [(each.category, each.idnumber) for each in found]
    if len(set(ids)) < len(ids):
        raise StoppedError("an idnumber stands twice in a category and would be dropped")
    return found


def _category(path: str) -> tuple[str, ...]:
    parts = path.strip().replace("//", "\0").split("/")
    names = [part.replace("\0", "/") for part in parts]
    if names[0] != "$course$" or names[1] != "top" or not all(names):
        raise StoppedError(f"category {path!r}")
    return tuple(names[2:])


def _text(node: ET.Element, path: str) -> str:
    part = node.find(path)
    if part is None:
        return ""
    if part.get("format", "html") not in FORMATS:
        raise StoppedError(f"format {part.get('format')}")
    return (part.findtext("text") or "").strip()


def _question(node: ET.Element, category: tuple[str, ...]) -> Imported:
    kind = node.get("type") or ""
    name = _text(node, "name")
    idnumber = node.findtext("idnumber") or ""
    tags = [(tag.text or "").strip() for tag in node.findall("tags/tag/text")]
    if not name or len(name) > 255 or len(idnumber) > 100 or any(len(tag) > 50 for tag in tags):
        raise StoppedError(f"{name}: a column is too narrow")
    answers = node.findall("answer")
    question = Imported(
        kind,
        name,
        _text(node, "questiontext"),
        category,
        idnumber,
        tags,
        [(answer.findtext("text") or "").strip() for answer in answers],
        [float(answer.get("fraction", "0")) / 100 for answer in answers],
        [_text(answer, "feedback") for answer in answers],
        settings={part.tag: part.text or "" for part in node if len(part) == 0},
        hints=[(hint.findtext("text") or "").strip() for hint in node.findall("hint")],
        to_a_wrong_answer=_text(node, "incorrectfeedback"),
    )
    if not all(question.answers) or not question.text:
        raise StoppedError(f"{name}: an empty text")
    {
        "multichoice": _multichoice,
        "shortanswer": _shortanswer,
        "numerical": _numerical,
        "ordering": _ordering,
    }[kind](node, question)
    if kind != "ordering":  # its grades are replaced by places
        for place, fraction in enumerate(question.fractions):
            if not any(abs(abs(fraction) - grade) < 0.00001 for grade in GRADES):
                raise StoppedError(f"{name}: the grade {fraction} of answer {place}")
    return question


def _multichoice(node: ET.Element, question: Imported) -> None:
    if len(question.answers) < 2:
        raise StoppedError(f"{question.name}: not enough answers")
    if question.settings.get("single", "true") == "true":
        if max(question.fractions) != 1:
            raise StoppedError(f"{question.name}: no answer is worth 100 %")
    else:
        total = sum(fraction for fraction in question.fractions if fraction > 0)
        if round(total, 2) != 1:
            raise StoppedError(f"{question.name}: the grades add up to {total}")


def _shortanswer(node: ET.Element, question: Imported) -> None:
    if max(question.fractions) != 1:
        raise StoppedError(f"{question.name}: no answer is worth 100 %")


def _numerical(node: ET.Element, question: Imported) -> None:
    _shortanswer(node, question)
    for answer in question.answers:
        float(answer)
    question.tolerances = [float(each.findtext("tolerance", "0")) for each in node.iter("answer")]
    for unit in node.findall("units/unit"):
        unit_name = (unit.findtext("unit_name") or "").strip()
        question.units[unit_name] = float(unit.findtext("multiplier", "1"))
        if not unit_name or len(unit_name) > 50:
            raise StoppedError(f"{question.name}: unit {unit_name!r}")
    if question.units and next(iter(question.units.values())) != 1:
        raise StoppedError(f"{question.name}: no default unit")


def _ordering(node: ET.Element, question: Imported) -> None:
    if len(question.answers) < 2:
        raise StoppedError(f"{question.name}: not enough answers")
    hints = node.findall("hint")
    if node.find("shownumcorrect") is None:
        # The importer fills hintoptions with two, and save_hints looks for hint[1].
        if len(hints) < 2:
            raise StoppedError(f"{question.name}: undefined array key 1")
    elif not (node.findtext("shownumcorrect") or "").isdigit():
        raise StoppedError(f"{question.name}: shownumcorrect")
    for hint in hints:
        if not (hint.findtext("options") or "").strip():
            raise StoppedError(f"{question.name}: a hint without options")
