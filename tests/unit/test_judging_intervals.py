"""Intervals: equal to SciPy's, of the coverage that they promise, refusing what is no share."""

from __future__ import annotations

import random

import pytest

from labs_lib.errors import LabError
from labs_lib.judging import (
    Interval,
    bootstrap_interval,
    difference_interval,
    mcnemar_p,
    rows_needed,
    rows_to_tell_apart,
    wilson_interval,
)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("right", "of"), [(0, 1), (0, 40), (40, 40), (37, 40), (1, 20_000)])
def test_wilson_is_scipys(right: int, of: int, confidence: float):
    from scipy.stats import binomtest

    theirs = binomtest(right, of).proportion_ci(confidence, method="wilson")
    assert wilson_interval(right, of, confidence) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(("right", "of"), [(-1, 4), (5, 4), (0, 0), (1.5, 4), (True, 4), (1, "4")])
def test_a_count_that_is_no_share_is_refused(right, of):
    with pytest.raises(LabError, match=r"^(right|of): .* give "):
        wilson_interval(right, of)


def test_a_bootstrap_lies_around_the_mean_and_is_the_same_each_time():
    draw = random.Random(0)
    values = [draw.random() for _ in range(60)]
    mean = sum(values) / 60
    low, high = bootstrap_interval(values)
    assert low < mean < high
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    assert bootstrap_interval(values * 9).margin == pytest.approx((high - low) / 6, rel=0.15)
    assert bootstrap_interval([0.5] * 9) == (0.5, 0.5)


@pytest.mark.parametrize("values", [[], [1.0], [0.1, float("nan")], [0.1, float("inf")]])
def test_a_bootstrap_of_no_numbers_is_refused(values):
    with pytest.raises(LabError, match=r"^values: "):
        bootstrap_interval(values)


def test_a_paired_interval_is_narrower_than_two_apart():
    one = [1.0] * 20 + [0.0] * 20
    other = [1.0] * 20 + [0.0] * 12 + [1.0] * 8
    paired = difference_interval(one, other)
    assert paired.low > 0  # eight rows won and none lost
    assert mcnemar_p(one, other) == pytest.approx(2 / 2**8)
    apart = [wilson_interval(round(sum(marks)), 40) for marks in (one, other)]
    assert apart[0].high > apart[1].low  # the two intervals overlap all the same
    swapped = difference_interval(other, one)
    assert (swapped.low, swapped.high) == pytest.approx((-paired.high, -paired.low))


def test_an_interval_of_marks_that_never_differ_still_has_a_width():
    low, high = difference_interval([1, 0] * 10, [1, 0] * 10)
    assert low < 0 < high
    assert mcnemar_p([1, 0] * 10, [1, 0] * 10) == 1.0


def test_a_paired_interval_covers_as_often_as_it_says():
    """Of 400 draws of 60 rows about 95 in 100 hold the true difference, 0.1."""
    draw, held = random.Random(0), 0
    for _ in range(400):
        one = [float(draw.random() < 0.6) for _ in range(60)]
        # Right stays right 95 times in 100; wrong turns right so often that 0.7 are.
        turns = {1.0: 0.95, 0.0: (0.7 - 0.6 * 0.95) / 0.4}
        other = [float(draw.random() < turns[mark]) for mark in one]
        held += difference_interval(one, other).holds(0.1)
    assert 0.92 < held / 400 < 0.985


def test_differences_that_are_no_marks_are_drawn_by_rows():
    one = [0.1, 0.5, 0.9, 0.3] * 10
    low, high = difference_interval(one, [value + 0.05 for value in one])
    assert low == pytest.approx(0.05)
    assert high == pytest.approx(0.05)
    with pytest.raises(LabError, match="marks of 0 and 1"):
        mcnemar_p(one, one)


@pytest.mark.parametrize(("one", "other"), [([1, 0], [1]), ([], [])])
def test_unlike_lengths_are_refused(one, other):
    with pytest.raises(LabError, match=r"^other: "):
        difference_interval(one, other)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_the_rows_needed_are_the_fewest_that_do(share: float, margin: float):
    from labs_lib.judging.intervals import _wilson, _z

    rows = rows_needed(share, margin)
    assert _wilson(share, rows, _z(0.95))[1] <= margin
    assert rows == 1 or _wilson(share, rows - 1, _z(0.95))[1] > margin


def test_the_textbook_counts():
    assert rows_needed(0.5, 0.05) == 381  # Wald's formula says 385
    assert rows_to_tell_apart(0.9, 0.95) == 432
    assert rows_to_tell_apart(0.95, 0.9) == 432
    assert rows_to_tell_apart(0.5, 0.9) < rows_to_tell_apart(0.5, 0.6)


def test_so_many_rows_find_the_difference_as_often_as_promised():
    """Two models, right on 70 and 85 of 100 rows, told apart about 80 times in 100."""
    rows, draw, found = rows_to_tell_apart(0.7, 0.85), random.Random(1), 0
    for _ in range(300):
        one = [float(draw.random() < 0.7) for _ in range(rows)]
        other = [float(draw.random() < 0.85) for _ in range(rows)]
        found += not difference_interval(one, other).holds(0)
    assert 0.72 < found / 300 < 0.88


@pytest.mark.parametrize(
    "ask",
    [
        lambda: rows_needed(1.2, 0.05),
        lambda: rows_needed(0.5, 0),
        lambda: rows_needed(0.5, 0.5),
        lambda: rows_needed(float("nan"), 0.1),
        lambda: rows_to_tell_apart(0.5, 0.5),
        lambda: rows_to_tell_apart(0.5, 0.6, power=1),
        lambda: wilson_interval(3, 4, confidence=95),
    ],
)
def test_what_no_number_of_rows_answers_is_refused_in_one_line(ask):
    with pytest.raises(LabError, match=r"^(share|margin|other|power|confidence): "):
        ask()


def test_an_interval_says_its_margin_and_what_it_holds():
    interval = Interval(0.2, 0.4)
    assert interval.margin == pytest.approx(0.1)
    assert interval.holds(0.2)
    assert not interval.holds(0.41)
