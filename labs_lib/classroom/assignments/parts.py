"""A lesson taken apart: text, code, and what is graded, whichever grader it is written for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from labs_lib.assessment.banks import find_question
from labs_lib.assessment.cells import exercise_of, questions_asked
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.export.parts import asked
from labs_lib.assessment.interactions import Program, lettered, offers_of
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.questions import Question
from labs_lib.assessment.show import markdown_html
from labs_lib.classroom.assignments.needed import skippable
from labs_lib.workbook.documents import Notebook

_CHECK = re.compile(r"""^check\(\s*["'](?P<id>[^"']+)["']""", re.MULTILINE)
_TRAINS = "trains"


@dataclass(frozen=True)
class Text:
    """Markdown to read."""

    source: str


@dataclass(frozen=True)
class Code:
    """A cell of the lesson's own; a grader skips it where `skipped` is true."""

    source: str
    tags: tuple[str, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class Answer:
    """What a student writes: `given` stands there for everybody, `solution` for the grader."""

    id: str
    given: str
    solution: str


@dataclass(frozen=True)
class Marked:
    """What an answer is tested by: `shown` runs at the student's too, `hidden` at the grader's."""

    id: str
    shown: str
    hidden: str
    points: int = 1


Part = Text | Code | Answer | Marked


def parts_of(notebook: Notebook, seed: int) -> tuple[list[Part], list[str]]:
    """Return a lesson's parts in order, and the ids of questions that no grader here can ask.

    `seed` draws the numbers of questions, the same for everybody.
    """
    parts: list[Part] = []
    left_out: list[str] = []
    trains: list[int] = []
    for cell in notebook["cells"]:
        source, tags = cell["source"], tuple(cell["metadata"].get("tags", ()))
        if cell["cell_type"] != "code":
            parts.append(Text(source))
        elif exercise_id := exercise_of(source):
            solution = find_exercise(exercise_id).solution
            parts.append(Answer(exercise_id, source.rstrip(), solution.rstrip()))
        elif checked := _CHECK.search(source):
            parts.append(_exercise_test(checked["id"], source))
        elif ids := questions_asked(source):
            for question_id in ids:
                _, question = find_question(question_id)
                drawn = question.draw(seed)
                if isinstance(drawn.interaction, Program):
                    left_out.append(question_id)
                else:
                    parts += _question_parts(drawn, seed)
        else:
            if _TRAINS in tags:
                trains.append(len(parts))
            parts.append(Code(source, tags))
    return _with_skipped(parts, trains), left_out


def _with_skipped(parts: list[Part], trains: list[int]) -> list[Part]:
    sources = [_all_code(part) for part in parts]
    graded = [n for n, part in enumerate(parts) if isinstance(part, (Answer, Marked))]
    skipped = set(skippable(sources, trains, graded))
    return [
        Code(part.source, part.tags, True) if isinstance(part, Code) and place in skipped else part
        for place, part in enumerate(parts)
    ]


def _all_code(part: Part) -> str:
    match part:
        case Code():
            return part.source
        case Answer():
            return f"{part.given}\n{part.solution}"
        case Marked():
            return f"{part.shown}\n{part.hidden}"
        case Text():
            return ""


def _exercise_test(exercise_id: str, source: str) -> Marked:
    name = find_exercise(exercise_id).answer
    hidden = (
        f"from labs_lib.assessment import assert_correct\n\nassert_correct({exercise_id!r}, {name})"
    )
    return Marked(exercise_id, source.rstrip(), hidden)


def _question_parts(question: Question, seed: int) -> list[Part]:
    name = "answer_" + re.sub(r"\W", "_", question.id)
    given = f"# question: {question.id}\n{name} = ...  # such as {question.example}"
    call = f"{question.id!r}, {name}, seed={seed}" if seed else f"{question.id!r}, {name}"
    shown = f"from labs_lib.assessment import assert_readable\n\nassert_readable({call})"
    hidden = f"from labs_lib.assessment import assert_correct\n\nassert_correct({call})"
    right: Any = question.right_answer(seed)
    return [
        Text(_asked(question)),
        Answer(question.id, given, f"{name} = {right!r}"),
        Marked(question.id, shown, hidden),
    ]


def _asked(question: Question) -> str:
    """Return a question as Markdown, its offers in HTML, since they may be tables or code."""
    offers = [
        f"{letter}) {markdown_html(offer.text)}"
        for letter, offer in zip(LETTERS, offers_of(question.interaction), strict=False)
    ]
    prompt = asked(question, items=False)
    options = lettered(question.interaction)
    plain = all("\n" not in option for option in options)
    return "\n\n".join(["**Question.** " + prompt, *(options if plain else offers),
                        f"*{question.instruction}*"])  # fmt: skip
