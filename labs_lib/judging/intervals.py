"""How far a score from a few rows may lie from the one that all rows would give."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from labs_lib.errors import LabError, shorten


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
    JASA 22 (1927); equal to `scipy.stats.binomtest(right, of).proportion_ci(method="wilson")`,
    and here without SciPy's seconds of loading.
    """
    if not _is_count(of) or of < 1:
        raise LabError(f"of: {shorten(of)} is no number of rows; give 1 or more")
    if not _is_count(right) or not 0 <= right <= of:
        raise LabError(f"right: {shorten(right)} is no count among {of} rows; give 0 to {of}")
    z = _z(confidence)
    middle, margin = _wilson(right / of, of, z)
    return Interval(0.0 if not right else middle - margin, 1.0 if right == of else middle + margin)


def bootstrap_interval(
    values: Sequence[float], seed: int = 0, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return a bootstrap interval for the mean of one value a row.

    Rows are drawn anew with replacement `resamples` times (`scipy.stats.bootstrap`, percentiles).
    Where all values are one, so is every resample, and the interval has no width: it says nothing
    then. Raises `LabError` for fewer than two values and for one that is no finite number. Source:
    Efron, "Bootstrap methods", Annals of Statistics 7 (1979).
    """
    import numpy as np
    from scipy.stats import bootstrap

    _check_share("confidence", confidence)
    _check_values(values)
    sample = np.asarray(values, dtype=float)
    found = bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 1_000_000 // len(sample)),  # resamples held in memory at once
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def difference_interval(
    one: Sequence[float], other: Sequence[float], seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Return an interval for mean(other) − mean(one), where `one[i]` and `other[i]` share a row.

    Marks that are all 0 or 1 get Bonett and Price's adjusted Wald interval for paired shares,
    which keeps a width where the two never differ; other values get a bootstrap over the rows'
    differences. Raises `LabError` for unlike lengths. Source: Bonett and Price, Journal of
    Educational and Behavioral Statistics 37 (2012).
    """
    _check_pairs(one, other)
    if not are_marks([*one, *other]):
        pairs = zip(one, other, strict=True)
        return bootstrap_interval([after - before for before, after in pairs], seed, confidence)
    _check_share("confidence", confidence)
    lost, won = _differing(one, other)
    rows = len(one) + 2
    lost_share, won_share = (lost + 1) / rows, (won + 1) / rows
    middle = won_share - lost_share
    margin = _z(confidence) * math.sqrt((won_share + lost_share - middle**2) / rows)
    return Interval(max(-1.0, middle - margin), min(1.0, middle + margin))


def mcnemar_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return McNemar's exact p: how often chance alone splits the differing rows so unevenly.

    Only the rows count that one of the two has right and the other wrong; 1.0 where there is none.
    Raises `LabError` for values other than 0 and 1. Source: McNemar, Psychometrika 12 (1947), in
    its exact form: `scipy.stats.binomtest`.
    """
    _check_pairs(one, other)
    if not are_marks([*one, *other]):
        raise LabError("McNemar's test takes marks of 0 and 1; give difference_interval the values")
    lost, won = _differing(one, other)
    if not lost + won:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won).pvalue)


def rows_needed(share: float, margin: float, confidence: float = 0.95) -> int:
    """Return how many held-out rows give a share a Wilson interval of ± `margin`.

    `share` is the share that you expect, 0 to 1 (0.5 needs most), `margin` above 0 and below 0.5.
    """
    _check_share("share", share, ends=True)
    _check_share("margin", margin, most=0.5)
    z = _z(confidence)
    rows = 1
    while _wilson(share, rows, z)[1] > margin:
        rows *= 2
    counts = range(rows // 2 + 1, rows + 1)  # the margin shrinks with every row
    first = bisect.bisect_left(
        counts, True, key=lambda count: _wilson(share, count, z)[1] <= margin
    )
    return counts[first]


def rows_to_tell_apart(
    share: float, other: float, power: float = 0.8, confidence: float = 0.95
) -> int:
    """Return how many held-out rows show that one share differs from another.

    `power` is the probability that a difference of that size is found. The count is for two
    models whose errors on the same rows are unrelated; models that fail on the same rows need
    fewer. Source: the normal approximation for two proportions without continuity correction,
    Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", ch. 4.
    """
    _check_share("share", share, ends=True)
    _check_share("other", other, ends=True)
    _check_share("power", power)
    if share == other:
        raise LabError(f"other: {other:g} is the first share; no number of rows tells them apart")
    _check_share("confidence", confidence)
    spread = share * (1 - share) + other * (1 - other)
    sum_of_z = _z(confidence) + NormalDist().inv_cdf(power)
    return max(1, math.ceil(sum_of_z**2 * spread / (share - other) ** 2))


def are_marks(values: Sequence[float]) -> bool:
    """Return whether every value is 0 or 1, right or wrong."""
    return all(value in (0, 1) for value in values)


def _z(confidence: float) -> float:
    """Return how many standard errors lie on each side: 1.96 for 0.95."""
    _check_share("confidence", confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _wilson(share: float, rows: int, z: float) -> tuple[float, float]:
    """Return the middle of Wilson's interval and half its width."""
    variance = share * (1 - share) / rows + z**2 / (4 * rows**2)
    weight = 1 + z**2 / rows
    return (share + z**2 / (2 * rows)) / weight, z * math.sqrt(variance) / weight


def _differing(one: Sequence[float], other: Sequence[float]) -> tuple[int, int]:
    """Return how many rows `one` alone has right, and how many `other` alone."""
    pairs = list(zip(one, other, strict=True))
    return sum(a > b for a, b in pairs), sum(b > a for a, b in pairs)


def _check_values(values: Sequence[float]) -> None:
    if len(values) < 2:
        raise LabError(f"values: an interval needs two rows or more, got {len(values)}")
    wrong = [value for value in values if not math.isfinite(value)]
    if wrong:
        raise LabError(f"values: {shorten(wrong[0])} is no finite number")


def _check_pairs(one: Sequence[float], other: Sequence[float]) -> None:
    if len(one) != len(other) or not one:
        raise LabError(
            f"other: {len(other)} values beside {len(one)}; give two values a row, of one row or "
            "more"
        )


def _is_count(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _check_share(field: str, value: float, most: float = 1.0, ends: bool = False) -> None:
    within = 0 <= value <= most if ends else 0 < value < most
    if not within:
        legal = f"0 to {most:g}" if ends else f"above 0 and below {most:g}"
        raise LabError(f"{field}: {shorten(value)} is out of range; give a number {legal}")
