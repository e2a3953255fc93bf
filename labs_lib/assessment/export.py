"""Banks for other systems: CSV, QTI (Canvas and others), Moodle XML, an Anki deck.

Each format holds the questions that it can ask. A parameterised question is exported with the
numbers of one seed; an ordering becomes a single choice between orders where the format has no
ordering of its own; a code question goes into CSV and Anki only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.questions import (
    LETTERS,
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    ParameterisedQuestion,
    Question,
    SingleChoice,
    TextQuestion,
)
from labs_lib.assessment.show import markdown_html
from labs_lib.errors import LabError, choice_error
from labs_lib.files import written_aside

COLUMNS = (
    "id", "lesson", "objective", "kind", "difficulty", "prompt", "options", "unit",
    "tolerance", "answer", "hint", "explanation", "source",
)  # fmt: skip


def export_banks(banks: Sequence[Bank], form: str, path: Path, seed: int = 0) -> int:
    """Write the banks' questions to `path` as csv, qti, moodle or anki; return how many.

    Raises LabError for an unknown format or a file that cannot be written; the file is whole or
    absent.
    """
    if form not in WRITERS:
        raise choice_error("format", form, WRITERS)
    questions = [_plain(question, seed) for bank in banks for question in bank.questions]
    exported = [question for question in questions if _fits(question, form)]
    if not exported:
        raise LabError(f"export: no question that {form} can hold")
    with written_aside(path) as aside:
        WRITERS[form](exported, aside)
    return len(exported)


def _plain(question: Question, seed: int) -> Question:
    return question.draw(seed) if isinstance(question, ParameterisedQuestion) else question


def _fits(question: Question, form: str) -> bool:
    return not isinstance(question, CodeQuestion) or form in ("csv", "anki")


def options_of(question: Question) -> list[tuple[str, bool, str]]:
    """Return a choice's (text, correct, feedback); an ordering's items in the order shown."""
    if isinstance(question, (SingleChoice, MultipleChoice)):
        return [(each.text, each.correct, each.feedback or "") for each in question.options]
    if isinstance(question, OrderingQuestion):
        items = [question.items[index] for index in question.shown]
        return [(each.text, True, each.feedback) for each in items]
    return []


def orders_of(question: OrderingQuestion) -> list[tuple[str, bool]]:
    """Return four orders of an ordering's letters, the right one among them."""
    right = list(question.right_letters)
    orders = {
        tuple(right): True,
        tuple(reversed(right)): False,
        (*right[1:], right[0]): False,
        (right[1], right[0], *right[2:]): False,
    }
    listed = [(", ".join(order), correct) for order, correct in orders.items()]
    return sorted(listed, key=lambda each: hashlib.sha256(each[0].encode()).hexdigest())


def _csv(questions: Sequence[Question], path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for question in questions:
            numeric = isinstance(question, NumericQuestion)
            options = options_of(question)
            lines = [f"{a}) {text}" for a, (text, *_) in zip(LETTERS, options, strict=False)]
            writer.writerow(
                {
                    "id": question.id,
                    "lesson": question.lesson,
                    "objective": question.objective,
                    "kind": question.kind,
                    "difficulty": question.difficulty,
                    "prompt": question.prompt,
                    "options": "\n".join(lines),
                    "unit": question.unit if numeric else "",
                    "tolerance": question.tolerance.width(question.answer) if numeric else "",
                    "answer": right_answer(question),
                    "hint": question.hint,
                    "explanation": question.explanation,
                    "source": question.source,
                }
            )


def _qti(questions: Sequence[Question], path: Path) -> None:
    from text2qti.config import Config
    from text2qti.qti import QTI
    from text2qti.quiz import Quiz

    # The class's own defaults: its `load` would write a settings file into the user's home.
    quiz = Quiz(text2qti_source(questions), config=Config(), source_name="bank")
    path.write_bytes(QTI(quiz).zip_bytes())


def text2qti_source(questions: Sequence[Question]) -> str:
    """Return the questions in text2qti's plain-text format."""
    out = ["Quiz title: LoRA Lab"]
    for number, question in enumerate(questions, start=1):
        out += ["", f"Title: {question.id}"]
        prompt = question.prompt
        if isinstance(question, OrderingQuestion):
            listed = zip(LETTERS, options_of(question), strict=False)
            prompt += "\n\n" + "\n\n".join(f"{letter}) {text}" for letter, (text, *_) in listed)
        if isinstance(question, NumericQuestion) and question.unit:
            prompt += f" (in {question.unit})"
        out.append(_block(f"{number}. ", prompt))
        out.append(_block("... ", question.explanation))
        if isinstance(question, SingleChoice):
            for letter, (text, correct, feedback) in zip(
                LETTERS, options_of(question), strict=False
            ):
                out.append(_block(f"{'*' if correct else ''}{letter}) ", text))
                if feedback:
                    out.append(_block("... ", feedback))
        elif isinstance(question, MultipleChoice):
            for text, correct, feedback in options_of(question):
                out.append(_block("[*] " if correct else "[ ] ", text))
                if feedback:
                    out.append(_block("... ", feedback))
        elif isinstance(question, OrderingQuestion):
            for letter, (text, correct) in zip(LETTERS, orders_of(question), strict=False):
                out.append(_block(f"{'*' if correct else ''}{letter}) ", text))
        elif isinstance(question, NumericQuestion):
            out.append(f"= {_exact(question.answer)} +- {_exact(_width(question))}")
        elif isinstance(question, TextQuestion):
            out += [f"* {form}" for form in question.accept]
    return "\n".join(out) + "\n"


def _block(mark: str, text: str) -> str:
    """Return text2qti's form of a text of several lines: the rest stands under the first."""
    lines = text.replace("```python", "```").splitlines() or [""]
    indent = " " * len(mark)
    return "\n".join([mark + lines[0], *((indent + line).rstrip() for line in lines[1:])])


def _width(question: NumericQuestion) -> float:
    return max(question.tolerance.width(question.answer), 1e-9)


def _exact(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:.12f}".rstrip("0")


def _moodle(questions: Sequence[Question], path: Path) -> None:
    quiz = ET.Element("quiz")
    category = ET.SubElement(quiz, "question", type="category")
    _text(category, "category", "$course$/LoRA Lab", None)
    for question in questions:
        _moodle_question(quiz, question)
    ET.indent(quiz)
    ET.ElementTree(quiz).write(path, encoding="utf-8", xml_declaration=True)


def _moodle_question(quiz: ET.Element, question: Question) -> None:
    kinds = {"single": "multichoice", "multiple": "multichoice", "numeric": "numerical",
             "ordering": "ordering", "text": "shortanswer"}  # fmt: skip
    node = ET.SubElement(quiz, "question", type=kinds[question.kind])
    _text(node, "name", question.id, None)
    unit = question.unit if isinstance(question, NumericQuestion) else None
    prompt = question.prompt + (f" (in {unit})" if unit else "")
    _text(node, "questiontext", markdown_html(prompt), "html")
    _text(node, "generalfeedback", markdown_html(question.explanation), "html")
    ET.SubElement(node, "idnumber").text = question.id
    _text(node, "hint", markdown_html(question.hint), "html")
    if isinstance(question, (SingleChoice, MultipleChoice)):
        ET.SubElement(node, "single").text = "true" if question.kind == "single" else "false"
        ET.SubElement(node, "shuffleanswers").text = "true"
        right = sum(option.correct for option in question.options)
        wrong = len(question.options) - right
        for text, correct, feedback in options_of(question):
            several = question.kind == "multiple"
            share = 100 / right if correct else (-100 / wrong if several else 0)
            _moodle_answer(node, markdown_html(text), share, feedback, "html")
    elif isinstance(question, OrderingQuestion):
        for item in question.items:
            _moodle_answer(node, markdown_html(item.text), 1, "", "html")
    elif isinstance(question, NumericQuestion):
        answer = _moodle_answer(node, repr(question.answer), 100, "", None)
        ET.SubElement(answer, "tolerance").text = repr(_width(question))
        for mistake in question.mistakes:
            wrong_answer = _moodle_answer(node, repr(mistake.value), 0, mistake.feedback, None)
            ET.SubElement(wrong_answer, "tolerance").text = repr(
                question.tolerance.width(mistake.value)
            )
    elif isinstance(question, TextQuestion):
        ET.SubElement(node, "usecase").text = "1" if question.case_sensitive else "0"
        for form in question.accept:
            _moodle_answer(node, form, 100, "", None)
        for mistake in question.mistakes:
            for form in mistake.match:
                _moodle_answer(node, form, 0, mistake.feedback, None)


def _moodle_answer(
    node: ET.Element, text: str, share: float, feedback: str, form: str | None
) -> ET.Element:
    answer = ET.SubElement(node, "answer", fraction=f"{share:.7g}")
    if form:
        answer.set("format", form)
    ET.SubElement(answer, "text").text = text
    _text(answer, "feedback", markdown_html(feedback) if feedback else "", "html")
    return answer


def _text(node: ET.Element, tag: str, text: str, form: str | None) -> None:
    part = ET.SubElement(node, tag)
    if form:
        part.set("format", form)
    ET.SubElement(part, "text").text = text


def _anki(questions: Sequence[Question], path: Path) -> None:
    import genanki

    model = genanki.Model(
        _number("lora-lab model"),
        "LoRA Lab",
        fields=[{"name": "Id"}, {"name": "Question"}, {"name": "Answer"}],
        templates=[
            {
                "name": "Card",
                "qfmt": "{{Question}}",
                "afmt": "{{FrontSide}}<hr id=answer>{{Answer}}",
            }
        ],
    )
    deck = genanki.Deck(_number("lora-lab deck"), "LoRA Lab")
    for question in questions:
        options = options_of(question)
        lines = [f"{a}) {text}" for a, (text, *_) in zip(LETTERS, options, strict=False)]
        front = "\n\n".join([question.prompt, *lines])
        right = right_answer(question)
        shown = f"```python\n{right}```" if isinstance(question, CodeQuestion) else f"**{right}**"
        note = genanki.Note(
            model=model,
            fields=[
                question.id,
                markdown_html(front),
                markdown_html(f"{shown}\n\n{question.explanation}"),
            ],
            guid=genanki.guid_for(question.id),
        )
        deck.add_note(note)
    # genanki stamps the time; a fixed one makes the same bank the same deck.
    buffer = io.BytesIO()
    genanki.Package(deck).write_to_file(buffer, timestamp=0.0)
    path.write_bytes(buffer.getvalue())


def _number(name: str) -> int:
    """Return a number that is always the same for this name, in the range that Anki uses."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 30


WRITERS: dict[str, Callable[[Sequence[Question], Path], None]] = {
    "csv": _csv,
    "qti": _qti,
    "moodle": _moodle,
    "anki": _anki,
}
