"""Every lesson taken by a student who knows everything: all checks green, progress 100 %."""

from __future__ import annotations

from pathlib import Path

import pytest
from taking import SEED, outcomes, progress_aside, run

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.cells import exercise_of, questions_asked
from labs_lib.assessment.exercises import exercises_of
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.solved import solved_source
from tools import notebooks


@pytest.fixture
def runs_lesson() -> None:
    """Marks the tests that execute a lesson: slow where the lesson trains."""


@pytest.mark.seconds
@pytest.mark.timeout(1800)
def test_solved_lesson_is_all_correct(lesson: Path, runs_lesson: None, student_home: Path):
    number = lesson_id(lesson.stem)
    notebook = notebooks.read(lesson)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = solved_source(cell.source, SEED)
    # What the unsolved pass trained is read back, as after a restart of the kernel.
    with progress_aside(student_home):
        run(notebook, student_home)
        state = outcomes(student_home).get(number)
    assert state is not None, "the lesson has neither questions nor exercises"
    open_items = {item.id: item.status for item in state.items if not item.ever_correct}
    assert open_items == {}
    assert [item.id for item in state.items if item.wrong] == []
    assert state.percent == 100


def test_every_question_and_exercise_of_a_lesson_is_in_its_notebook(lesson: Path):
    number = lesson_id(lesson.stem)
    code = [text for kind, text, _ in notebooks.cells_of(notebooks.read(lesson)) if kind == "code"]
    asked = [question for text in code for question in questions_asked(text)]
    bank = load_banks().get(number)
    assert bank is not None, f"no bank for lesson {number}"
    assert sorted(asked) == sorted(question.id for question in bank.questions)
    marked = [found for text in code if (found := exercise_of(text))]
    assert marked == [exercise.id for exercise in exercises_of(number)]


def test_an_exercise_cell_holds_the_starter(lesson: Path):
    starters = {exercise.id: exercise.starter for exercise in exercises_of(lesson_id(lesson.stem))}
    for kind, text, _ in notebooks.cells_of(notebooks.read(lesson)):
        found = exercise_of(text) if kind == "code" else None
        if found:
            assert text.strip() == f"# exercise: {found}\n{starters[found]}".strip()
