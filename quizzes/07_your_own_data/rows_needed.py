"""How many rows a margin of five points takes."""

from __future__ import annotations

from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

SHARE = 0.8
MARGIN = 0.05
Z_95 = 1.96


def _rows(share: float = SHARE, margin: float = MARGIN, z: float = Z_95) -> float:
    return z**2 * share * (1 - share) / margin**2


def _near(value: float, within: float = 0.02) -> Callable[[float], bool]:
    return lambda given: abs(given - value) <= within * value


ROWS = Exercise(
    id="07.rows-needed",
    title="How many rows a margin takes",
    objective="score",
    difficulty="easy",
    task=(
        "A model answers 80 % of its held-out rows right. Its 95 % interval is about "
        "±1.96·√(p(1 − p)/n), with p as a share and n rows. How many rows do you need for an "
        "interval of **±5 points**? Set `rows`."
    ),
    answer="rows",
    hints=(
        "Five points are a margin of 0.05 when p is 0.8.",
        "Solve 0.05 = 1.96·√(0.8 × 0.2/n) for n: square both sides.",
    ),
    check=ValueCheck(
        observe=number_of("rows"),
        properties=(
            # With 2 in place of 1.96 it comes to 256.
            Property(
                lambda rows: 240 <= rows <= 257,
                "Not the number: set the margin to 0.05 and solve for n.",
            ),
        ),
        misconceptions=(
            Misconception(
                "width-for-margin",
                "That makes the interval five points wide from end to end. ±5 points is ten wide.",
                when=_near(_rows(margin=MARGIN / 2)),
            ),
            Misconception(
                "one-standard-error",
                "That is for one standard error, which covers 68 %. For 95 % multiply it by 1.96.",
                when=_near(_rows(z=1)),
            ),
            Misconception(
                "not-squared",
                "You forgot to square: n is under a root, so a margin half as large takes four "
                "times as many rows.",
                when=lambda rows: (
                    15.5 <= rows <= 16 or _near(Z_95 * SHARE * (1 - SHARE) / MARGIN)(rows)
                ),
            ),
            Misconception(
                "worst-case",
                "That is for p = 0.5, the share with the widest interval. Here p is 0.8.",
                when=_near(_rows(share=0.5)),
            ),
            Misconception(
                "points-for-shares",
                "You mixed points with shares: if p is 0.8, five points are 0.05.",
                when=lambda rows: 0 < rows < 1,
            ),
        ),
    ),
    praise="246 rows. A set of your own seldom has as many to spare, so state the interval.",
)
