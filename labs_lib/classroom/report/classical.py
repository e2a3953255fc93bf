"""Classical test theory: difficulty, discrimination, Cronbach's alpha, and what each option draws.

Rows are students, columns are items; a score is 1 for a right answer and 0 for any other, though
the formulas take every number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Scores = Sequence[Sequence[float]]
FEWEST_STUDENTS = 5
"""From how many students on a correlation is reported; with fewer it says nothing."""


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def cronbach_alpha(scores: Scores) -> Estimate | None:
    """Return Cronbach's alpha with its interval by Feldt; None where it is not defined.

    alpha = k / (k - 1) · (1 - sum of the items' variances / variance of the totals). Sources:
    Cronbach, Psychometrika 16 (1951); Feldt, Psychometrika 30 (1965).
    """
    from scipy.stats import f

    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.shape[0] < FEWEST_STUDENTS or table.shape[1] < 2:
        return None
    students, items = table.shape
    total = table.sum(axis=1).var(ddof=1)
    if total == 0:
        return None
    alpha = items / (items - 1) * (1 - table.var(axis=0, ddof=1).sum() / total)
    degrees = (students - 1, (students - 1) * (items - 1))
    low, high = (float(1 - (1 - alpha) * f.ppf(share, *degrees)) for share in (0.975, 0.025))
    return Estimate(float(alpha), low, high)


def discriminations(scores: Scores) -> list[Estimate | None]:
    """Return each item's correlation with the sum of the others (corrected item-total)."""
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2:
        return []
    totals = table.sum(axis=1)
    return [correlation(column, totals - column) for column in table.T]


def correlation(one: Sequence[float], other: Sequence[float]) -> Estimate | None:
    """Return Pearson's r with its interval by Fisher's z; None where one of both never varies.

    With a value of 0 or 1, r is the point-biserial correlation.
    """
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if len(first) < FEWEST_STUDENTS or first.std() == 0 or second.std() == 0:
        return None
    r = float(np.corrcoef(first, second)[0, 1])
    if abs(r) >= 1 - 1e-12:
        return Estimate(r, r, r)
    middle, width = math.atanh(r), NormalDist().inv_cdf(0.975) / math.sqrt(len(first) - 3)
    return Estimate(r, math.tanh(middle - width), math.tanh(middle + width))
