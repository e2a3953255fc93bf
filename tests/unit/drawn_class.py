"""A class whose students and items are drawn from known figures, as grading would leave it."""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import dataclass, field

from labs_lib.classroom.records import (
    Graded,
    GradedAnswer,
    GradedStudent,
    Release,
    ReleasedItem,
    Try,
)

LETTERS = "abcd"
START = datetime.datetime(2027, 1, 11, 9, tzinfo=datetime.timezone.utc)


@dataclass
class Made:
    """A class and what it was drawn from: abilities, and each item's difficulty and slope."""

    graded: Graded
    abilities: list[float]
    difficulties: list[float]
    slopes: list[float] = field(default_factory=list)


def make_item(number: int, kind: str) -> ReleasedItem:
    """Return an item: a choice whose right answer is b, or a number whose right one is 8."""
    options = {letter: f"Option **{letter}** of {number}" for letter in LETTERS}
    return ReleasedItem(
        id=f"0{1 + number % 3}.item-{number:02}",
        lesson=f"0{1 + number % 3}",
        kind=kind,
        objective="count",
        prompt=f"Question {number}: what is `lora_alpha / r`?",
        options=options if kind == "single" else {},
        right="b" if kind == "single" else "8",
        misconceptions={f"wrong-{number:02}-c": "You divide the wrong way."},
    )


def make_class(
    students: int = 40,
    items: int = 12,
    seed: int = 0,
    *,
    kinds: tuple[str, ...] = ("single", "single", "numeric"),
    slope: tuple[float, float] = (0.8, 2.0),
    missing: int = 0,
    second_tries: bool = True,
) -> Made:
    """Return a class drawn by the two-parameter logistic model.

    A student's confidence follows the chance of being right; a wrong choice is c twice as often as
    a or d; half of those who are wrong at first are right at the second try, a day later.
    """
    draw = random.Random(seed)
    abilities = [draw.gauss(0, 1) for _ in range(students)]
    difficulties = [draw.uniform(-1.5, 1.5) for _ in range(items)]
    slopes = [draw.uniform(*slope) for _ in range(items)]
    asked = [make_item(n, kinds[n % len(kinds)]) for n in range(items)]
    answers: list[GradedAnswer] = []
    rows: list[GradedStudent] = []
    for number, ability in enumerate(abilities):
        name = f"s{number:03}"
        own: list[GradedAnswer] = []
        for place, item in enumerate(asked):
            chance = 1 / (1 + math.exp(-slopes[place] * (ability - difficulties[place])))
            own.append(_answer(draw, name, item, chance, place, second_tries))
        answers += own
        points = sum(row.points for row in own)
        rows.append(GradedStudent(student=name, name=f"Name {number}", points=points,
                                  possible=float(items), late=number % 10 == 0))  # fmt: skip
    rows += [
        GradedStudent(student=f"t{n:03}", name=f"Absent {n}", handed_in=False, possible=items)
        for n in range(missing)
    ]
    release = Release(id="r-1", made=START.isoformat(), lessons=("01", "02", "03"),
                      items=tuple(asked), due="2027-01-31")  # fmt: skip
    graded = Graded(release=release, walls="bubblewrap", students=tuple(rows),
                    answers=tuple(answers))  # fmt: skip
    return Made(graded, abilities, difficulties, slopes)


def _answer(
    draw: random.Random, student: str, item: ReleasedItem, chance: float, place: int, again: bool
) -> GradedAnswer:
    steps = ("guess", "unsure", "fairly sure", "sure")
    right = draw.random() < chance
    when = START + datetime.timedelta(days=place // 2)
    tries = [_try(draw, item, right, steps[min(int(chance * 4), 3)], when)]
    if not right and again and draw.random() < 0.5:
        tries.append(_try(draw, item, True, "sure", when + datetime.timedelta(days=1)))
    last = tries[-1]
    return GradedAnswer(
        student=student,
        lesson=item.lesson,
        item=item.id,
        kind=item.kind,
        attempts=len(tries),
        points=float(last.outcome == "correct"),
        tries=tuple(tries),
        **last.model_dump(),
    )


def _try(
    draw: random.Random, item: ReleasedItem, right: bool, sure: str, when: datetime.datetime
) -> Try:
    time = when.isoformat()
    if right:
        return Try(outcome="correct", given=item.right, confidence=sure, time=time)
    given = draw.choice("accd") if item.options else draw.choice(("4", "16", "0.5"))
    known = next(iter(item.misconceptions))
    said = (known if given in ("c", "4") else given) if item.options or given == "4" else ""
    return Try(outcome="incorrect", given=given, misconception=said, confidence=sure, time=time)
