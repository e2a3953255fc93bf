"""What a training won and what it broke, row by row."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _gained_lost(before: list[bool], after: list[bool]) -> tuple[int, int]:
    pairs = list(zip(before, after, strict=True))
    return sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs)


def _rises_only(before: list[bool], after: list[bool]) -> tuple[int, int]:
    difference = sum(after) - sum(before)
    return max(difference, 0), max(-difference, 0)


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [
        ([True, True, False, False], [True, False, True, False]),  # as many won as lost
        ([True, True], [False, False]),
        ([], []),
        ([False, False, False], [True, True, True]),
    ]
    for _ in range(16):
        rows = generator.randint(5, 40)
        base, tuned = generator.random(), generator.random()
        before = [generator.random() < base for _ in range(rows)]
        after = [generator.random() < tuned for _ in range(rows)]
        cases.append((before, after))
    return cases


PAIRED = Exercise(
    id="08.gained-lost",
    title="Won and broken",
    objective="evaluate",
    difficulty="easy",
    task=(
        "Write `gained_lost(before, after)`. Each list says for the same held-out rows, in the "
        "same order, whether the answer was right: `before` by the base, `after` by the tuned "
        "model. Return two numbers: the rows that became right, and the rows that became wrong."
    ),
    answer="gained_lost",
    hints=(
        "`zip(before, after)` gives each row's two answers.",
        "A row is gained if it is right now and was not before.",
    ),
    check=FunctionCheck(
        cases=_cases,
        reference=_gained_lost,
        misconceptions=(
            Misconception(
                "difference-of-scores",
                "You compare the two totals. Rows that were won hide rows that were broken: go row "
                "by row.",
                wrong=_rises_only,
            ),
            Misconception(
                "swapped",
                "The two numbers are swapped: first the rows that became right.",
                wrong=lambda before, after: _gained_lost(before, after)[::-1],
            ),
            Misconception(
                "totals",
                "Those are all rows that are right, before and after. Which rows changed?",
                wrong=lambda before, after: (sum(before), sum(after)),
            ),
            Misconception(
                "all-right-after",
                "A row that was right before is not gained.",
                wrong=lambda _before, after: (sum(after), len(after) - sum(after)),
            ),
        ),
    ),
    praise="The rows that were lost are the ones to read: they show what the training broke.",
)
