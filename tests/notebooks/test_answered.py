"""Every lesson's checks by themselves: left blank, all wrong, and all right, in one kernel.

A blank is no attempt, each mistake is told, and the answers alone make a lesson complete.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from taking import SEED, assessment_cells, outcomes, run

from labs_lib.assessment.banks import find_question
from labs_lib.assessment.cells import QUESTION, exercise_of
from labs_lib.assessment.exercises import exercises_of, find_exercise
from labs_lib.assessment.exercises.cases import Case, all_cases
from labs_lib.assessment.grading import grade, right_answer
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.outcomes import Outcome, Response
from labs_lib.assessment.questions import Question
from labs_lib.assessment.solved import solved_source
from tools import notebooks

WRONG_CASE = """# exercise: {id}
from labs_lib.assessment.exercises.cases import all_cases, answered
{name} = next(
    answered(answer) for exercise, answer, status, _ in all_cases()
    if (exercise, status) == ("{id}", "incorrect")
)
"""

COUNT = "from labs_lib.assessment.progress import read_events\nread_events()[0]"
MOVE = "import os\nos.environ['LABS_HOME'] = {home!r}"
"""Has what follows be another student's."""


def first_mistake(exercise_id: str) -> Case:
    """Return the first wrong answer to an exercise that its cases hold."""
    return next(case for case in all_cases() if (case[0], case[2]) == (exercise_id, "incorrect"))


def attempts(question: Question) -> Iterator[Any]:
    """Yield answers in every form that a kind of question takes."""
    right = right_answer(question, SEED)
    letters = "abcdefgh"
    yield from letters
    yield from (",".join(pair) for pair in itertools.combinations(letters, 2))
    yield ",".join(reversed(str(right).split(",")))
    yield "no idea"
    if isinstance(right, int | float):
        yield 3 * right + 1


def wrong_answer(question: Question) -> tuple[Any, Outcome]:
    """Return an answer that is a mistake, and no blank or slip of the keyboard."""
    for answer in attempts(question):
        outcome = grade(question, Response(question.id, answer, SEED))
        if outcome.status == "incorrect":
            return answer, outcome
    raise AssertionError(f"{question.id}: no answer is wrong")


def wrong_source(cell_source: str) -> str:
    """Return a code cell as the student who gets everything wrong leaves it."""
    exercise_id = exercise_of(cell_source)
    if exercise_id is not None:
        return WRONG_CASE.format(id=exercise_id, name=find_exercise(exercise_id).answer)

    def answered(match: re.Match[str]) -> str:
        _, question = find_question(match["id"])
        answer, _ = wrong_answer(question)
        return f"{match[0]}.submit({answer!r})"

    return QUESTION.sub(answered, cell_source)


def test_blanks_count_as_nothing_mistakes_are_told_and_right_answers_complete_a_lesson(
    lesson: Path, tmp_path: Path
):
    notebook = assessment_cells(lesson)
    imports, *blank = notebook.cells
    wrong, right = copy.deepcopy(blank), copy.deepcopy(blank)
    for cell in wrong:
        cell.source = wrong_source(cell.source)
    for cell in right:
        cell.source = solved_source(cell.source, SEED)
    count, move = map(nbformat.v4.new_code_cell, (COUNT, MOVE.format(home=str(tmp_path))))
    notebook.cells = [imports, *blank, count, *wrong, move, *right]
    number = lesson_id(lesson.stem)
    with notebooks.scratch_home() as home:
        run(notebook, home)
        failed, solved = outcomes(home)[number], outcomes(tmp_path)[number]
    (counted,) = (cell for cell in notebook.cells if cell.source == COUNT)
    assert notebooks.text_of(counted.outputs[0]) == "[]"
    checks = [cell for cell in blank if cell.source.startswith("check(")]
    assert len(checks) == len(exercises_of(number))
    for cell in checks:
        assert "Not attempted" in notebooks.text_of(cell.outputs[0])
    assert_mistakes_are_told(number, wrong)
    assert {item.id: item.status for item in failed.items if item.status != "incorrect"} == {}
    assert failed.attempted == failed.total
    assert failed.percent == 0
    assert {item.id: item.status for item in solved.items if not item.ever_correct} == {}
    assert solved.percent == 100
    assert not any(item.wrong for item in solved.items)


def assert_mistakes_are_told(number: str, cells: list[Any]) -> None:
    """Fail unless each check of a lesson's wrong answers says what is wrong with it."""
    told = [
        notebooks.text_of(cell.outputs[0]) for cell in cells if cell.source.startswith("check(")
    ]
    words = [first_mistake(exercise.id)[3] for exercise in exercises_of(number)]
    for text, mistake in zip(told, words, strict=True):
        assert "Not yet" in text, text
        assert mistake in " ".join(text.split()), text


def test_every_wrong_answer_is_told_why(lesson: Path):
    for cell in assessment_cells(lesson).cells:
        for match in QUESTION.finditer(cell.source):
            _, outcome = wrong_answer(find_question(match["id"])[1])
            assert len(outcome.message.split()) >= 3, (match["id"], outcome)
