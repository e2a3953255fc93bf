"""Whether one result is better than another beyond what the choice of rows explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs_lib.judging.intervals import Interval
from labs_lib.judging.scores import Scores
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.training import Run


@dataclass(frozen=True)
class Difference:
    """Two scores on the same rows: `other` minus `one`, with its paired interval.

    `only_one` and `only_other` count the rows that only that one has better; `p` is McNemar's,
    None where the values are not marks of 0 and 1. The interval covers the choice of rows, not
    another seed of training.
    """

    one: Scores
    other: Scores
    interval: Interval
    only_one: int
    only_other: int
    p: float | None

    @property
    def difference(self) -> float:
        """Return the mean of `other` minus that of `one`."""
        raise NotImplementedError

    @property
    def beyond_noise(self) -> bool:
        """Return whether the interval leaves 0 out."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return both scores, their difference and what it shows."""
        raise NotImplementedError


def compare_scores(one: Scores, other: Scores, confidence: float = 0.95) -> Difference:
    """Compare two scores, such as a baseline and a run, row by row.

    Raises `LabError` for other rows or another metric.
    """
    raise NotImplementedError


def compare_runs(
    one: Run, other: Run, metric: str | None = None, confidence: float = 0.95
) -> Difference:
    """Compare two finished runs of one data set by their answers after training.

    Raises `LabError` where their held-out rows differ.
    """
    raise NotImplementedError
