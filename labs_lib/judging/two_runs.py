"""Whether one result is better than another beyond what the choice of rows explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs_lib.errors import LabError
from labs_lib.judging.intervals import Interval, are_marks, difference_interval, mcnemar_p
from labs_lib.judging.scores import Scores, run_scores
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.training import Run


@dataclass(frozen=True)
class Difference:
    """Two scores on the same rows: `other` minus `one`, with its paired 95 % interval.

    `only_one` and `only_other` count the rows on which that one alone is better; `p` is McNemar's,
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
        return self.other.mean - self.one.mean

    @property
    def beyond_noise(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return not self.interval.holds(0.0)

    @property
    def finding(self) -> str:
        """Return in one sentence what the rows show."""
        low, high = self.interval
        if not self.beyond_noise:
            return (
                f"The {len(self.one.values)} rows do not tell {self.one.name} and "
                f"{self.other.name} apart: the interval, {low:+.3f} to {high:+.3f}, holds 0."
            )
        better, worse = (self.other, self.one) if low > 0 else (self.one, self.other)
        return (
            f"{better.name} is better than {worse.name} beyond what the choice of rows explains: "
            f"the interval, {low:+.3f} to {high:+.3f}, leaves 0 out."
        )

    def __repr__(self) -> str:
        return self.finding

    def table(self) -> Table:
        """Return both scores, their difference and what it shows."""
        low, high = self.interval
        lines = [
            (f"{self.one.metric}, {self.one.name}", f"{self.one.mean:.3f}"),
            (f"{self.other.metric}, {self.other.name}", f"{self.other.mean:.3f}"),
            ("difference (95 % interval)", f"{self.difference:+.3f} ({low:+.3f} to {high:+.3f})"),
            (f"rows better with {self.one.name} alone", self.only_one),
            (f"rows better with {self.other.name} alone", self.only_other),
            ("McNemar's exact p", "–" if self.p is None else f"{self.p:.3g}"),
            ("finding", self.finding),
        ]
        return Table.of((f"{len(self.one.values)} held-out rows", ""), lines)


def compare_scores(one: Scores, other: Scores, confidence: float = 0.95) -> Difference:
    """Compare two scores, such as a baseline and a run, row by row.

    Raises `LabError` for other rows or another metric.
    """
    if one.metric != other.metric:
        raise LabError(
            f"metric: {one.name} has {one.metric}, {other.name} has {other.metric}; score both "
            "by one metric"
        )
    if one.rows_fingerprint != other.rows_fingerprint:
        raise LabError(
            f"rows: {one.name} ({len(one.values)} rows) and {other.name} ({len(other.values)} "
            "rows) answered different held-out rows; a paired comparison needs the same ones"
        )
    pairs = list(zip(one.values, other.values, strict=True))
    marks = are_marks([*one.values, *other.values])
    return Difference(
        one=one,
        other=other,
        interval=difference_interval(one.values, other.values, confidence=confidence),
        only_one=sum(a > b for a, b in pairs),
        only_other=sum(b > a for a, b in pairs),
        p=mcnemar_p(one.values, other.values) if marks else None,
    )


def compare_runs(
    one: Run, other: Run, metric: str | None = None, confidence: float = 0.95
) -> Difference:
    """Compare two finished runs of one data set by their answers after training.

    Raises `LabError` where their held-out rows differ.
    """
    return compare_scores(run_scores(one, metric), run_scores(other, metric), confidence)
