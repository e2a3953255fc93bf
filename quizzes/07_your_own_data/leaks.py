"""Test rows that training has seen."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

_Row = dict[str, str]
_PROMPTS = (
    "Where is my parcel?",
    "I want my money back.",
    "The lamp arrived broken.",
    "How do I change my address?",
    "My invoice is wrong.",
    "Can I pay by card?",
    "The app does not start.",
    "When do you open?",
)


def _same(text: str) -> str:
    return " ".join(text.casefold().split())


def _leaks(train: list[_Row], test: list[_Row]) -> list[int]:
    prompts = {_same(row["prompt"]) for row in train}
    entities = {row["entity"] for row in train}
    return [
        place
        for place, row in enumerate(test)
        if _same(row["prompt"]) in prompts or row["entity"] in entities
    ]


def _prompts_alone(train: list[_Row], test: list[_Row]) -> list[int]:
    prompts = {_same(row["prompt"]) for row in train}
    return [place for place, row in enumerate(test) if _same(row["prompt"]) in prompts]


def _entities_alone(train: list[_Row], test: list[_Row]) -> list[int]:
    entities = {row["entity"] for row in train}
    return [place for place, row in enumerate(test) if row["entity"] in entities]


def _letter_for_letter(train: list[_Row], test: list[_Row]) -> list[int]:
    prompts = {row["prompt"] for row in train}
    entities = {row["entity"] for row in train}
    return [
        place
        for place, row in enumerate(test)
        if row["prompt"] in prompts or row["entity"] in entities
    ]


def _clean_ones(train: list[_Row], test: list[_Row]) -> list[int]:
    leaking = _leaks(train, test)
    return [place for place in range(len(test)) if place not in leaking]


def _both_at_once(train: list[_Row], test: list[_Row]) -> list[int]:
    entities = set(_entities_alone(train, test))
    return [place for place in _prompts_alone(train, test) if place in entities]


def _row(prompt: str, entity: str) -> _Row:
    return {"prompt": prompt, "completion": "…", "entity": entity}


def _varied(generator: random.Random, prompt: str) -> str:
    """Return a prompt as another person types it: same words, other case, other white space."""
    return generator.choice(
        [prompt, prompt, prompt.upper(), f"  {prompt}", "  ".join(prompt.split(" "))]
    )


def _leak_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    train = [_row(_PROMPTS[0], "Ada"), _row(_PROMPTS[1], "Ben")]
    test = [
        _row(_PROMPTS[2], "Cleo"),
        _row(_PROMPTS[0].upper(), "Dan"),  # the prompt, in other letters
        _row(_PROMPTS[3], "Ben"),  # the entity
        _row(_PROMPTS[0], "Ada"),  # both
        _row(_PROMPTS[4], "Eve"),
    ]
    cases: list[tuple[Any, ...]] = [(train, test), (train, test[:1]), ([], test)]
    for _ in range(12):
        names = [f"customer {number}" for number in range(12)]
        rows = [
            _row(_varied(generator, generator.choice(_PROMPTS)), generator.choice(names))
            for _ in range(14)
        ]
        cut = generator.randint(3, 6)
        cases.append((rows[:cut], rows[cut:]))
    return cases


LEAKS = Exercise(
    id="07.leaks",
    title="Find the leak",
    objective="data",
    task=(
        "Write `leaks(train, test)`. Both are lists of rows, and a row is a dictionary with "
        "`prompt`, `completion` and `entity`, the customer whom it is about. Return the **places "
        "in `test`** (0 is the first) of the rows that training has seen: those whose prompt is in "
        "`train` too, **whatever its case and white space**, and those whose entity is."
    ),
    answer="leaks",
    hints=(
        "Make a set of what `train` has, once, and ask for each test row whether it is in it.",
        "`' '.join(text.lower().split())` is the same for two prompts that differ in case and "
        "white space alone.",
        "A row leaks if its prompt is known **or** its entity is.",
    ),
    check=FunctionCheck(
        cases=_leak_cases,
        reference=_leaks,
        misconceptions=(
            Misconception(
                "entities-not-looked-at",
                "You find repeated prompts. A customer of whom training has seen other mails leaks "
                "too: the model may know their name, address and manner.",
                wrong=_prompts_alone,
            ),
            Misconception(
                "prompts-not-looked-at",
                "You find known entities. A prompt that was trained on leaks too, whoever asks it.",
                wrong=_entities_alone,
            ),
            Misconception(
                "letter-for-letter",
                "You compare prompts letter for letter. In other case or with one more blank it is "
                "still the same prompt.",
                wrong=_letter_for_letter,
            ),
            Misconception(
                "both-needed",
                "You ask for a known prompt and a known entity at once. One of them is enough.",
                wrong=_both_at_once,
            ),
            Misconception(
                "clean-for-leaking",
                "Those are the rows that do not leak.",
                wrong=_clean_ones,
            ),
        ),
    ),
    praise="Those rows would have been scored as if they were new.",
    decoys=(
        '    seen = {row["prompt"] for row in train}',
        '        if text in seen and row["entity"] in entities:',
    ),
)
