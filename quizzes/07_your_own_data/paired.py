"""Two models on the same rows: what the rows on which they differ say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import SEED, Exercise, FunctionCheck, Misconception

_Marks = list[bool]


def _tail(few: int, of: int) -> float:
    """Return how likely at most `few` heads are in `of` tosses of a fair coin."""
    return sum(math.comb(of, k) for k in range(few + 1)) / 2**of


def _counts(first: _Marks, second: _Marks) -> tuple[int, int]:
    pairs = list(zip(first, second, strict=True))
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


def _paired(first: _Marks, second: _Marks) -> tuple[int, int, float]:
    only_first, only_second = _counts(first, second)
    few, of = min(only_first, only_second), only_first + only_second
    return only_first, only_second, min(1.0, 2 * _tail(few, of))


def _case(generator: random.Random, both: int, first: int, second: int, neither: int) -> Any:
    pairs = [(True, True)] * both + [(True, False)] * first
    pairs += [(False, True)] * second + [(False, False)] * neither
    generator.shuffle(pairs)
    return [a for a, _ in pairs], [b for _, b in pairs]


def _paired_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases = [
        _case(generator, *counts)
        for counts in ((80, 0, 6, 14), (20, 5, 5, 10), (4, 0, 0, 3), (30, 7, 2, 1), (0, 1, 9, 0))
    ]
    for _ in range(10):
        both, first, second = (generator.randint(0, 12) for _ in range(3))
        cases.append(_case(generator, both, first, second, neither=2))
    return cases


def _p_is(wrong: Callable[[_Marks, _Marks], float]) -> Callable[[list[Any]], bool]:
    """Recognize what the third number is where the two counts are right."""
    return lambda results: all(
        tuple(result[:2]) == _counts(*case) and abs(float(result[2]) - wrong(*case)) < 1e-6
        for case, result in zip(_paired_cases(random.Random(SEED)), results, strict=True)
    )


def _one_sided(first: _Marks, second: _Marks) -> float:
    only_first, only_second = _counts(first, second)
    return _tail(min(only_first, only_second), only_first + only_second)


def _above_one(first: _Marks, second: _Marks) -> float:
    return 2 * _one_sided(first, second)


def _of_all_rows(first: _Marks, second: _Marks) -> float:
    return min(1.0, 2 * _tail(min(_counts(first, second)), len(first)))


def _swapped(first: _Marks, second: _Marks) -> Any:
    only_first, only_second, p = _paired(first, second)
    return only_second, only_first, p


def _totals_are(results: list[Any]) -> bool:
    cases = _paired_cases(random.Random(SEED))
    return all(
        tuple(result[:2]) == (sum(first), sum(second))
        for (first, second), result in zip(cases, results, strict=True)
    )


PAIRED = Exercise(
    id="07.paired",
    title="Two models on the same rows",
    objective="score",
    task=(
        "Write `paired(first, second)`. Each is a list of `True` and `False`, one a row: whether "
        "that model's answer was right. Both lists are of the same rows in the same order. Return "
        "three numbers:\n\n"
        "- how many rows **only the first** model has right;\n"
        "- how many rows **only the second** has right;\n"
        "- how likely a split **at least as uneven** is, to either side, if each of these rows "
        "were a toss of a fair coin (the sign test's p).\n\n"
        "With n such rows and k on the smaller side, p is 2·Σ C(n, i)/2ⁿ for i from 0 to k, and at "
        "most 1. `math.comb(n, i)` is C(n, i)."
    ),
    answer="paired",
    hints=(
        "`zip(first, second)` gives the two marks of a row together.",
        "Rows that both have right, or both wrong, say nothing about which is better.",
        "`sum(math.comb(n, i) for i in range(k + 1)) / 2**n`, twice, and no more than 1.",
    ),
    check=FunctionCheck(
        cases=_paired_cases,
        reference=_paired,
        misconceptions=(
            Misconception(
                "totals",
                "Those are all rows that each has right. Count the rows on which the two differ.",
                when=_totals_are,
            ),
            Misconception(
                "swapped",
                "Your first two numbers have changed places.",
                wrong=_swapped,
            ),
            Misconception(
                "one-sided",
                "Your p is one-sided. The other model might have won as clearly; count both sides.",
                when=_p_is(_one_sided),
            ),
            Misconception(
                "above-one",
                "An even split is counted from both sides, so p can pass 1 there. Cut it off at 1.",
                when=_p_is(_above_one),
            ),
            Misconception(
                "ties-as-tosses",
                "You toss a coin for every row. Rows on which the two agree are no toss.",
                when=_p_is(_of_all_rows),
            ),
        ),
    ),
    praise="Only the rows on which two models differ say which is better.",
)
