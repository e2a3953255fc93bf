"""How far a score from a few rows may lie from the one that all rows would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """The two ends of a confidence interval, in the unit of what was scored."""

    low: float
    high: float

    @property
    def margin(self) -> float:
        """Return half the interval's width."""
        return (self.high - self.low) / 2

    def holds(self, value: float) -> bool:
        """Return whether `value` lies within the interval, its ends included."""
        return self.low <= value <= self.high


def wilson_interval(right: int, of: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval for a share: `right` rows of `of`, both ends 0 to 1.

    Unlike share ± 1.96 standard errors it stays within 0 to 1 and keeps its width at 0 % and at
    100 %. Raises `LabError` for counts that are no share. Source: Wilson, "Probable inference",
    JASA 22 (1927); `scipy.stats.binomtest(right, of).proportion_ci(method="wilson")`.
    """
    raise NotImplementedError


def bootstrap_interval(
    values: Sequence[float], seed: int = 0, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return a bootstrap interval for the mean of one value a row.

    Rows are drawn anew with replacement `resamples` times (`scipy.stats.bootstrap`, percentiles).
    Raises `LabError` for fewer than two values and for one that is no finite number. Source: Efron,
    "Bootstrap methods", Annals of Statistics 7 (1979).
    """
    raise NotImplementedError


def difference_interval(
    one: Sequence[float], other: Sequence[float], seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Return an interval for mean(other) − mean(one), where `one[i]` and `other[i]` share a row.

    Marks that are all 0 or 1 get Bonett and Price's interval for paired shares (2012), which keeps
    a width where the two never differ; other values a bootstrap over the rows' differences. Raises
    `LabError` for unlike lengths.
    """
    raise NotImplementedError


def mcnemar_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return McNemar's exact p: how often chance alone splits the differing rows so unevenly.

    Only the rows count that one of the two has right and the other wrong. 1.0 where there is none.
    Source: McNemar, Psychometrika 12 (1947), in its exact binomial form.
    """
    raise NotImplementedError


def rows_needed(share: float, margin: float, confidence: float = 0.95) -> int:
    """Return how many held-out rows give a share an interval of ± `margin`.

    `share` is the share that you expect, 0 to 1 (0.5 needs most), `margin` is between 0 and 0.5.
    """
    raise NotImplementedError


def rows_to_tell_apart(
    share: float, other: float, power: float = 0.8, confidence: float = 0.95
) -> int:
    """Return how many held-out rows show that one share differs from another.

    `power` is the probability that a difference of that size is found. The count is for two
    models whose errors on the same rows are unrelated; models that fail on the same rows need
    fewer. Source: the normal approximation for two proportions, such as Fleiss, Levin and Paik,
    "Statistical Methods for Rates and Proportions", ch. 4, without continuity correction.
    """
    raise NotImplementedError
