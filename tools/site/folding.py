"""What a lesson folds: an outcome behind its prediction, a verdict behind its claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.site.cells import Kind

OUTCOME = "Show what happened"
VERDICT = "Show the verdict"
# Headings stay in the page's contents, tasks and predictions are the reader's.
_OPEN: tuple[Kind, ...] = ("heading", "task", "predict")


@dataclass(frozen=True)
class Fold:
    """The cells from `start` to `end`, without `end`, behind a summary.

    Folds of one `group` belong to one prediction; opening one opens all of them.
    """

    start: int
    end: int
    summary: str
    group: int


def folds(kinds: Sequence[Kind]) -> list[Fold]:
    """Return the folds of a lesson, in order, from what its cells are."""
    outcomes: list[Fold] = []
    done = 0
    for index, kind in enumerate(kinds):
        if kind == "compare" and index >= done:
            start = max([done, *(at + 1 for at in range(index) if kinds[at] == "predict")])
            done = _end(kinds, index)
            outcomes += [Fold(*piece, OUTCOME, index) for piece in _pieces(kinds, start, done)]
    inside = {index for fold in outcomes for index in range(fold.start, fold.end)}
    verdicts = [
        Fold(index, index + 1, VERDICT, index)
        for index, kind in enumerate(kinds)
        if kind == "claim" and index not in inside
    ]
    return sorted([*outcomes, *verdicts], key=lambda fold: fold.start)


def _end(kinds: Sequence[Kind], compare: int) -> int:
    """Return where the explanation of an outcome ends.

    That is the next heading, task or prediction; the paragraph before a prediction is its question.
    """
    end = compare + 1
    while end < len(kinds) and kinds[end] not in _OPEN:
        end += 1
    if end < len(kinds) and kinds[end] == "predict" and kinds[end - 1] == "prose":
        end -= 1
    return end


def _pieces(kinds: Sequence[Kind], start: int, end: int) -> list[tuple[int, int]]:
    """Return the runs of cells between the headings and tasks of a stretch, if there is code."""
    runs: list[tuple[int, int]] = []
    for index in range(start, end):
        if kinds[index] in _OPEN:
            continue
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return [run for run in runs if any(kinds[index] != "prose" for index in range(*run))]
