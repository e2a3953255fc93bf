"""A difference between two points of a sweep, judged by their seeds."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import SEED, Exercise, FunctionCheck, Misconception


def _clearly(a: list[float], b: list[float]) -> bool:
    return len(a) >= 2 and len(b) >= 2 and max(a) < min(b)


def _clearly_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [
        ([0.50, 0.52, 0.51], [0.60, 0.58, 0.61]),  # apart
        ([0.50, 0.52, 0.59], [0.60, 0.58, 0.61]),  # they overlap, though means and pairs agree
        ([0.60, 0.58, 0.61], [0.50, 0.52, 0.51]),  # apart the other way round
        ([0.20], [0.90, 0.95, 0.99]),  # one run is no spread
        ([0.20, 0.21], [0.90]),
        ([0.20], [0.90]),
        ([0.30, 0.40], [0.40, 0.50]),  # they touch
        ([0.30, 0.80], [0.40, 0.50, 0.60]),  # b within a
        ([0.45, 0.46], [0.30, 0.90]),  # a within b
        ([0.70, 0.40], [0.60, 0.50]),  # a's best run is the best of all
        ([0.30, 0.31, 0.70], [0.50, 0.60, 0.65]),  # one unlucky run among good ones
    ]
    for _ in range(24):
        center = generator.uniform(0.2, 1.0)
        gap = generator.choice((-0.2, 0.0, 0.04, 0.08, 0.2))
        draw = [generator.gauss(0, 0.03) for _ in range(6)]
        count = generator.choice((2, 3, 3))
        a = [round(center + each, 3) for each in draw[:count]]
        b = [round(center + gap + each, 3) for each in draw[3:]]
        cases.append((a, b))
    return cases


def _says(rule: Callable[[list[float], list[float]], bool]) -> Callable[[Any], bool]:
    """Return a test for results that are this rule's wherever both sides have two runs or more."""

    def matches(results: Any) -> bool:
        cases = _clearly_cases(random.Random(SEED))
        return all(
            result is rule(a, b)
            for (a, b), result in zip(cases, results, strict=True)
            if min(len(a), len(b)) >= 2
        )

    return matches


CLEARLY = Exercise(
    id="03.clearly-better",
    title="Better by more than luck",
    objective="evidence",
    task=(
        "Write `clearly_better(losses_a, losses_b)`. Each list holds the held-out loss of one "
        "point of a sweep, one number a seed; lower is better. Return `True` if **every** run of "
        "a is below **every** run of b. With fewer than two runs on either side there is no "
        "spread to judge by: return `False`."
    ),
    answer="clearly_better",
    hints=(
        "Two lists do not overlap when the worst of one is better than the best of the other.",
        "The worst run of a has its highest loss, the best run of b its lowest.",
        "Then look at the lengths: max and min of one number tell nothing of a spread.",
    ),
    check=FunctionCheck(
        cases=_clearly_cases,
        reference=_clearly,
        misconceptions=(
            Misconception(
                "compares-means",
                "You compare the means. Two means differ almost always; what matters is whether "
                "the difference is larger than what another seed does.",
                when=_says(lambda a, b: sum(a) / len(a) < sum(b) / len(b)),
            ),
            Misconception(
                "best-seed",
                "You compare the best run of each: that rewards the luckiest seed.",
                when=_says(lambda a, b: min(a) < min(b)),
            ),
            Misconception(
                "first-seed",
                "You look at the first run of each and leave the others out.",
                when=_says(lambda a, b: a[0] < b[0]),
            ),
            Misconception(
                "seed-by-seed",
                "You compare run by run. Equal seeds do not make two points' runs alike; asked "
                "for is every run of a against every run of b.",
                when=_says(lambda a, b: all(map(operator.lt, a, b))),
            ),
            Misconception(
                "higher-is-better",
                "The other way round: these are losses, and the lower one is better.",
                when=_says(lambda a, b: min(a) > max(b)),
            ),
            Misconception(
                "one-run-is-enough",
                "With one run on a side you cannot know how much another seed would change.",
                wrong=lambda a, b: max(a) < min(b),
            ),
            Misconception(
                "touching-counts",
                "Where the worst run of a equals the best run of b, they are not apart.",
                when=_says(lambda a, b: max(a) <= min(b)),
            ),
        ),
    ),
    praise="A difference counts only when no seed contradicts it.",
)
