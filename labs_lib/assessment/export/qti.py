"""QTI for Canvas and others, through text2qti, with the course's own reading of Markdown.

text2qti's Markdown obeys HTML, takes dollars for LaTeX and puts the file that an image names into
the archive. So its source text holds only labels, for which its converter finds the course's HTML.
"""

from __future__ import annotations

import hashlib
import html
from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export.parts import (
    Exported,
    asked,
    feedback_of,
    tags_of,
    title_of,
    width_of,
)
from labs_lib.assessment.export.qti_package import package
from labs_lib.assessment.interactions import Choice, Order, Program, Quantity, ShortText
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.questions import Question
from labs_lib.assessment.show import markdown_html
from labs_lib.errors import LabError

# Canvas keeps four decimals of a number's bounds.
DECIMALS = 4


def holds(question: Question) -> bool:
    """Return whether Canvas can ask it: no code, no number that four decimals cannot tell."""
    interaction = question.interaction
    if isinstance(interaction, Quantity):
        value, width = interaction.value, width_of(interaction)
        low, high = value - width, value + width
        inside = round(low, DECIMALS) <= value <= round(high, DECIMALS)
        return inside and min(abs(low), abs(high)) >= 10**-DECIMALS
    return not isinstance(interaction, Program)


def write(exported: Exported, path: Path) -> None:
    """Write an archive, one quiz a lesson; LabError with the library's reason for a refusal."""
    from text2qti.config import Config  # pyright: ignore[reportMissingTypeStubs]
    from text2qti.err import Text2qtiError  # pyright: ignore[reportMissingTypeStubs]
    from text2qti.qti import QTI  # pyright: ignore[reportMissingTypeStubs]

    lessons: dict[str, tuple[Bank, list[Question]]] = {}
    for bank, question in exported.questions:
        lessons.setdefault(bank.lesson, (bank, []))[1].append(question)
    quiz_class = _quiz_class()
    quizzes: list[Any] = []
    try:
        for bank, questions in lessons.values():
            texts: dict[str, str] = {}
            source = _source(title_of(bank), questions, texts)
            # The class's own defaults: its `load` would write a settings file into the user's home.
            quiz = quiz_class(source, texts, config=Config(), source_name="bank")
            # By the course's ids, not by the texts: they stay when a text is corrected.
            quiz.id = _stable_id(f"lesson {bank.lesson}")
            for question in quiz.questions_and_delims:
                question.id = _stable_id(question.title_raw)
            quizzes.append(QTI(quiz))
        tags = {question.id: tags_of(question) for _, question in exported.questions}
        path.write_bytes(package(quizzes, tags))
    except Text2qtiError as error:
        raise LabError(f"export: text2qti: {str(error).strip().splitlines()[-1]}") from error


def _stable_id(name: str) -> str:
    return hashlib.blake2b(name.encode()).hexdigest()[:64]


def _quiz_class() -> Any:
    from text2qti.markdown import Markdown  # pyright: ignore[reportMissingTypeStubs]
    from text2qti.quiz import Quiz  # pyright: ignore[reportMissingTypeStubs]
    from typing_extensions import override

    class CourseMarkdown(Markdown):
        def __init__(self, config: Any, texts: dict[str, str]):
            super().__init__(config)
            self._texts = texts

        @override
        def md_to_html_xml(self, markdown_string: str, strip_p_tags: bool = False) -> str:
            return html.escape(markdown_html(self._texts[markdown_string]), quote=False)

        def xml_escape(self, string: str, **quotes: bool) -> str:
            return super().xml_escape(self._texts.get(string, string), **quotes)

    class CourseQuiz(Quiz):
        def __init__(self, string: str, texts: dict[str, str], **options: Any):
            self._texts = texts
            super().__init__(string, **options)

        @property
        def md(self) -> Any:
            return self._md

        @md.setter
        def md(self, _given: Any) -> None:
            # Where the class makes a converter of its own, it gets the course's.
            self._md = CourseMarkdown(self.config, self._texts)

        @property
        def question_set(self) -> set[str]:
            # Two questions may ask the same thing; the library would refuse the second.
            return set()

        @question_set.setter
        def question_set(  # pyright: ignore[reportIncompatibleVariableOverride]
            self, given: set[str]
        ) -> None:
            pass

    return CourseQuiz


def _source(title: str, questions: list[Question], texts: dict[str, str]) -> str:
    """Return text2qti's plain-text format, each text as a label that `texts` explains."""

    def label(text: str) -> str:
        name = f"text#{len(texts)}"
        texts[name] = text
        return name

    out = [f"Quiz title: {label(title)}"]
    for number, question in enumerate(questions, start=1):
        out += ["", f"Title: {question.id}"]
        out.append(f"{number}. {label(asked(question, items=True))}")
        out.append(f"... {label(question.explanation)}")
        out.append(f"- {label(_to_a_wrong_answer(question))}")
        interaction = question.interaction
        if isinstance(interaction, Order):  # QTI 1.2 knows no ordering
            interaction = interaction.as_choice()
        match interaction:
            case Choice(offers, several):
                for letter, (text, correct, feedback) in zip(LETTERS, offers, strict=False):
                    box = f"[{'*' if correct else ' '}]"
                    mark = box if several else f"{'*' if correct else ''}{letter})"
                    out.append(f"{mark} {label(text)}")
                    out += [f"... {label(feedback)}"] if feedback else []
            case Quantity():
                out.append(f"= {_exact(interaction.value)} +- {_exact(width_of(interaction))}")
            case ShortText():
                out += [f"* {label(form)}" for form in interaction.accept]
            case _:
                pass
    return "\n".join(out) + "\n"


def _to_a_wrong_answer(question: Question) -> str:
    """Return the hint, and what QTI through text2qti can say to no single number or word."""
    said = [f"Hint: {question.hint}"]
    if isinstance(question.interaction, (Quantity, ShortText)):
        said += [f"If you answered {given}: {text}" for given, text in feedback_of(question)]
    return "\n\n".join(said)


def _exact(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:.12f}".rstrip("0")
