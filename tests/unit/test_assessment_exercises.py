"""Each exercise: blank, solution, right in another style, and each misconception."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from labs_lib.assessment import material
from labs_lib.assessment.exercises import all_exercises, find_exercise
from labs_lib.assessment.exercises.base import Exercise, judge
from labs_lib.assessment.exercises.cases import all_cases, answered
from labs_lib.assessment.lessons import lesson_folders, lesson_module
from labs_lib.assessment.outcomes import Outcome
from labs_lib.errors import LabError

EXERCISES = {exercise.id: exercise for exercise in all_exercises()}
CASES = all_cases()
FEW = 8
"""How many cases of each exercise `course.py test --fast` takes."""


def marks(number: int) -> list[pytest.MarkDecorator]:
    """Return the marks of a case, by its number among all.

    A worker takes all cases of an exercise, so that what it judged once is known to a later test.
    """
    name = CASES[number][0]
    before = sum(case[0] == name for case in CASES[:number])
    return [pytest.mark.xdist_group(name)] + [pytest.mark.seconds] * (before >= FEW)


GROUPED_CASES = [pytest.param(*case, marks=marks(number)) for number, case in enumerate(CASES)]
GROUPED_EXERCISES = [
    pytest.param(exercise, marks=pytest.mark.xdist_group(name), id=name)
    for name, exercise in EXERCISES.items()
]
OUTCOMES: dict[tuple[str, int], Outcome] = {}
LORA = "04.lora-config"


def of_lesson(lesson: str, module: str) -> Any:
    """Return a module of a lesson's folder."""
    return lesson_module(lesson_folders()[lesson], module)


def cell(exercise: Exercise, source: str) -> Any:
    """Run an exercise cell and return what its `check` is given."""
    names: dict[str, Any] = {}
    if exercise.lesson != "00":
        import math

        import peft
        import torch

        names = {"math": math, "torch": torch, "LoraConfig": peft.LoraConfig,
                 "get_peft_model": peft.get_peft_model}  # fmt: skip
    exec(compile(source, "<cell>", "exec"), names)
    return names[exercise.answer]


def test_there_are_at_least_forty_cases():
    assert len(CASES) >= 40


def outcome_of(exercise_id: str, answer: Any) -> Outcome:
    """Return what a case's answer is judged as; each case is judged once."""
    case = (exercise_id, id(answer))  # `CASES` holds the answers: no other takes an id
    if case not in OUTCOMES:
        OUTCOMES[case] = judge(EXERCISES[exercise_id], answered(answer))
    return OUTCOMES[case]


@pytest.mark.parametrize(("exercise_id", "answer", "status", "message"), GROUPED_CASES)
def test_case(exercise_id, answer, status, message):
    outcome = outcome_of(exercise_id, answer)
    assert (outcome.status, message in outcome.message) == (status, True), outcome
    assert "\n" not in outcome.message
    assert len(outcome.message) < 500
    assert ".." not in outcome.message
    assert outcome.message.rstrip(")'")[-1] in ".!?…"


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_blank_starter_and_solution(exercise):
    for blank in (None, ..., ""):
        assert judge(exercise, blank).status == "not attempted"
    assert judge(exercise, cell(exercise, exercise.starter)).status == "not attempted"
    solved = cell(exercise, exercise.solution)
    outcome = judge(exercise, solved)
    assert outcome.status == "correct", outcome
    assert outcome.message == exercise.praise


def test_counting_bytes_looks_for_no_garbage_in_the_whole_notebook(monkeypatch):
    """A search of all that a notebook has loaded takes up to a second, for each check."""
    set_aside = []
    monkeypatch.setattr(gc, "collect", lambda: set_aside.append(gc.get_freeze_count()))
    of_lesson("05", "product").ProbeMultiply().prepare()
    assert len(set_aside) == 2
    assert min(set_aside) > 10_000


@pytest.mark.seconds
def test_bytes_kept_are_the_answers_in_a_new_python_too(monkeypatch):
    monkeypatch.setenv("LABS_SANDBOX", "spawn")
    exercise = EXERCISES["05.multiply-4bit"]
    outcome = judge(exercise, cell(exercise, exercise.solution))
    assert outcome.status == "correct", outcome


@pytest.mark.seconds
@pytest.mark.parametrize("exercise", GROUPED_EXERCISES)
def test_every_misconception_is_reached_by_a_case(exercise):
    found = {
        outcome_of(exercise.id, answer).misconception
        for exercise_id, answer, status, _ in CASES
        if exercise_id == exercise.id and status == "incorrect"
    }
    known = {each.name for each in exercise.check.misconceptions}
    assert known <= found


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_an_exercise_is_complete(exercise):
    assert exercise.id.startswith(exercise.lesson + ".")
    assert exercise.hints
    assert exercise.task
    assert exercise.starter.endswith("\n")
    assert exercise.solution.endswith("\n")
    names = [each.name for each in exercise.check.misconceptions]
    assert len(set(names)) == len(names)
    for hint in exercise.hints:
        assert hint not in exercise.task


def test_a_check_leaves_the_students_random_state_and_config_alone():
    import torch

    config = of_lesson("04", "cases").lora()()
    before = (config.to_dict(), torch.random.get_rng_state())
    judge(EXERCISES[LORA], config)
    assert config.to_dict() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_the_count_agrees_with_peft():
    from peft import get_peft_model

    model, config = material(LORA), of_lesson("04", "cases").lora()()
    assert get_peft_model(model, config).get_nb_trainable_parameters()[0] == 11_520


def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(LabError, match=r"did you mean '04\.lora-config'"):
        find_exercise("04.lora-confg")


def test_the_run_that_lesson_00_names_trains_what_its_recipe_trains(root: Path):
    from labs_lib.lowrank import count_lora_parameters
    from labs_lib.training import Recipe

    expected = of_lesson("00", "exercises").RUN_TRAINED
    recipe = Recipe.from_yaml(root / "recipes" / "sea-captain.yaml")
    assert count_lora_parameters(recipe.model, recipe.target_modules, recipe.rank) == expected
