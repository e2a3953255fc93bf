"""What a release is made of: its lessons' questions, private ones among them, and exercises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import Bank, bank_files, load_bank, load_banks
from labs_lib.assessment.exercises import exercises_of
from labs_lib.assessment.exercises.base import Exercise
from labs_lib.assessment.interactions import offers_of
from labs_lib.assessment.kinds.sealed import seal
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.questions import Question
from labs_lib.classroom.records import ReleasedItem
from labs_lib.errors import LabError, choice_error

EXERCISE = "exercise"


def private_banks(place: Path | None) -> dict[str, Bank]:
    """Return lesson → bank of a private file or folder; none where there is no place."""
    if place is None:
        return {}
    if not place.exists():
        raise LabError(f"--bank: no file or folder {place}")
    banks = [load_bank(path) for path in (bank_files(place) if place.is_dir() else [place])]
    if not banks:
        raise LabError(f"--bank: {place} holds no bank (*.yaml)")
    return {bank.lesson: bank for bank in banks}


def released_banks(
    lessons: Sequence[str], private: Mapping[str, Bank]
) -> dict[str, tuple[str, dict[str, Any], list[Question]]]:
    """Return lesson → (folder name, header, questions): the course's, then the private ones.

    Raises LabError for a lesson that neither has, and for an id that both have.
    """
    course = load_banks()
    found: dict[str, tuple[str, dict[str, Any], list[Question]]] = {}
    for lesson in lessons:
        if lesson not in course and lesson not in private:
            raise choice_error("--lessons", lesson, sorted({*course, *private}))
        parts = [banks[lesson] for banks in (course, private) if lesson in banks]
        questions = [question for bank in parts for question in bank.questions]
        ids = [question.id for question in questions]
        if doubles := sorted({each for each in ids if ids.count(each) > 1}):
            raise LabError(f"--bank: {doubles[0]} is a question of the course already")
        objectives = {k: text for bank in reversed(parts) for k, text in bank.objectives.items()}
        header = {"lesson": lesson, "title": parts[0].title, "objectives": objectives}
        found[lesson] = (_folder_name(parts[0]), header, questions)
    return found


def bank_text(header: Mapping[str, Any], questions: Sequence[Question], sealed: bool) -> str:
    """Return a bank's YAML; with `sealed` nothing in it gives an answer away."""
    import yaml

    listed = [
        (seal(each) if sealed else each).model_dump(mode="json", exclude_defaults=True)
        for each in questions
    ]
    content = {**header, "questions": listed}
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=100)


def items_of(
    lessons: Mapping[str, Sequence[Question]], private: Mapping[str, Bank]
) -> tuple[ReleasedItem, ...]:
    """Return the items of some lessons, in order: questions, then exercises.

    An exercise that a code question asks is answered there and counted once.
    """
    own = {question.id for bank in private.values() for question in bank.questions}
    items: list[ReleasedItem] = []
    for lesson, questions in lessons.items():
        items += [_question(each, each.id in own) for each in questions]
        asked = {each.exercise_id for each in questions}
        items += [_exercise(each) for each in exercises_of(lesson) if each.id not in asked]
    return tuple(items)


def without_answers(item: ReleasedItem) -> ReleasedItem:
    """Return an item as a student may see it."""
    return item.model_copy(update={"right": "", "misconceptions": {}})


def _question(question: Question, private: bool) -> ReleasedItem:
    offers = offers_of(question.interaction)
    told = {
        str(getattr(option, "misconception", None) or letter): getattr(option, "feedback", "")
        for letter, option in zip(LETTERS, getattr(question, "options", ()), strict=False)
        if not option.correct
    }
    for mistake in getattr(question, "mistakes", ()):
        if mistake.misconception:
            told[mistake.misconception] = mistake.feedback
    return ReleasedItem(
        id=question.id,
        lesson=question.lesson,
        kind=str(question.kind),
        objective=question.objective,
        difficulty=question.difficulty,
        prompt=question.prompt,
        options={a: offer.text for a, offer in zip(LETTERS, offers, strict=False)},
        right="" if question.depends_on_seed else str(question.solution),
        misconceptions={name: text or "" for name, text in told.items()},
        private=private,
    )


def _exercise(exercise: Exercise) -> ReleasedItem:
    return ReleasedItem(
        id=exercise.id,
        lesson=exercise.lesson,
        kind=EXERCISE,
        objective=exercise.objective,
        difficulty={"easy": 1, "hard": 3}[exercise.difficulty],
        prompt=f"{exercise.title}\n\n{exercise.task}",
        misconceptions={known.name: known.message for known in exercise.check.misconceptions},
    )


def _folder_name(bank: Bank) -> str:
    return bank.path.parent.name if bank.path.stem == "questions" else bank.path.stem
