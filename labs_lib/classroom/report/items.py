"""Each item by itself: how hard it is, whom it tells apart, what its wrong answers draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from labs_lib.classroom.records import ReleasedItem, Try
from labs_lib.classroom.report.answers import ClassAnswers
from labs_lib.classroom.report.classical import Estimate, correlation, discriminations
from labs_lib.judging.intervals import Interval, wilson_interval

# Below these an item is worth a look. Ebel and Frisbie, "Essentials of Educational Measurement"
# (1991), chapter 13, call a discrimination below 0.2 poor.
HARD, EASY, POOR = 0.3, 0.95, 0.2
FEWEST_ANSWERS = 10
# A wrong answer in words is shown from this many students on: one alone could be known by it.
FEWEST_ALIKE = 2
MOST_WRONG_ANSWERS = 3
CHOICES = ("single", "multiple")


@dataclass(frozen=True)
class OptionFigures:
    """An option of a choice: who took it, and whether these are the strong or the weak students."""

    letter: str
    text: str
    right: bool
    chosen: int
    share: float
    point_biserial: Estimate | None


@dataclass(frozen=True)
class WrongAnswer:
    """A wrong answer in words or numbers that several students gave."""

    given: str
    students: int
    misconception: str


@dataclass(frozen=True)
class ItemFigures:
    """An item; figures are of the students' first answers.

    `difficulty` is the share of right answers among those given, so that a high one is an easy
    item; `discrimination` the correlation with the rest of the items, over all who handed in.
    """

    id: str
    lesson: str
    kind: str
    prompt: str
    private: bool
    answered: int
    right_at_first: int
    right_at_last: int
    difficulty: float | None
    difficulty_interval: Interval | None
    discrimination: Estimate | None
    options: tuple[OptionFigures, ...]
    wrong_answers: tuple[WrongAnswer, ...]
    remarks: tuple[str, ...]


def item_figures(answers: ClassAnswers) -> list[ItemFigures]:
    """Return the figures of every item, in the order of the release."""
    scores = answers.first_scores()
    strengths = discriminations(scores) if scores else []
    return [
        _figures(answers, place, item, [row[place] for row in scores],
                 [sum(row) - row[place] for row in scores],
                 strengths[place] if strengths else None)
        for place, item in enumerate(answers.items)
    ]  # fmt: skip


def _figures(
    answers: ClassAnswers,
    place: int,
    item: ReleasedItem,
    scores: list[int],
    rest: list[int],
    strength: Estimate | None,
) -> ItemFigures:
    del place
    firsts = [answers.first(student.student, item.id) for student in answers.students]
    rows = [answers.answer(student.student, item.id) for student in answers.students]
    answered = sum(first is not None for first in firsts)
    right = sum(scores)
    options = tuple(_options(item, firsts, rest)) if item.kind in CHOICES else ()
    return ItemFigures(
        id=item.id,
        lesson=item.lesson,
        kind=item.kind,
        prompt=item.prompt,
        private=item.private,
        answered=answered,
        right_at_first=right,
        right_at_last=sum(row is not None and row.outcome == "correct" for row in rows),
        difficulty=right / answered if answered else None,
        difficulty_interval=wilson_interval(right, answered) if answered else None,
        discrimination=strength,
        options=options,
        wrong_answers=tuple(_wrong_answers(firsts)) if not options else (),
        remarks=tuple(_remarks(answered, right, strength, options)),
    )


def _options(item: ReleasedItem, firsts: list[Try | None], rest: list[int]) -> list[OptionFigures]:
    right = set(letters_of(item.right))
    chosen = {
        letter: [first is not None and letter in letters_of(first.given) for first in firsts]
        for letter in item.options
    }
    answered = sum(first is not None for first in firsts)
    return [
        OptionFigures(
            letter=letter,
            text=item.options[letter],
            right=letter in right,
            chosen=sum(marks),
            share=sum(marks) / answered if answered else 0.0,
            point_biserial=correlation([float(mark) for mark in marks], rest),
        )
        for letter, marks in chosen.items()
    ]


def letters_of(given: str) -> list[str]:
    """Return the letters of "b" or "a,c"."""
    return [letter.strip().lower() for letter in given.split(",") if letter.strip()]


def _wrong_answers(firsts: list[Try | None]) -> list[WrongAnswer]:
    wrong = [first for first in firsts if first is not None and first.outcome == "incorrect"]
    counts = Counter((each.given, each.misconception) for each in wrong if each.given)
    return [
        WrongAnswer(given, count, misconception)
        for (given, misconception), count in counts.most_common(MOST_WRONG_ANSWERS)
        if count >= FEWEST_ALIKE
    ]


def _remarks(
    answered: int, right: int, strength: Estimate | None, options: tuple[OptionFigures, ...]
) -> list[str]:
    """Return what an instructor should look at, in sentences; nothing of a few answers."""
    if answered < FEWEST_ANSWERS:
        return []
    said: list[str] = []
    if right / answered < HARD:
        said.append(f"Fewer than {100 * HARD:.0f} % have it right at first.")
    if right / answered > EASY:
        said.append("Nearly all have it right at first, so it tells nobody apart.")
    elif strength is not None and strength.high < 0:
        said.append("Strong students have it wrong more often than weak ones: check its key.")
    elif strength is not None and strength.value < POOR:
        said.append("It hardly tells strong students from weak ones.")
    for option in options:
        mark = option.point_biserial
        if not option.right and mark is not None and mark.low > 0:
            said.append(f"Option {option.letter} is wrong, and strong students choose it.")
        if not option.right and not option.chosen:
            said.append(f"Nobody chooses option {option.letter}.")
    return said
