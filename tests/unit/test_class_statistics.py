"""A class report's statistics, against published figures and students drawn by known ones."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_class import make_class

from labs_lib.classroom.report import class_report
from labs_lib.classroom.report.classical import correlation, cronbach_alpha, discriminations
from labs_lib.classroom.report.item_response import FEWEST_STUDENTS, item_response

# The attitude data of Chatterjee and Price, "Regression Analysis by Example" (1977), as in R.
ATTITUDE = [
    [43, 51, 30, 39, 61, 92, 45], [63, 64, 51, 54, 63, 73, 47], [71, 70, 68, 69, 76, 86, 48],
    [61, 63, 45, 47, 54, 84, 35], [81, 78, 56, 66, 71, 83, 47], [43, 55, 49, 44, 54, 49, 34],
    [58, 67, 42, 56, 66, 68, 35], [71, 75, 50, 55, 70, 66, 41], [72, 82, 72, 67, 71, 83, 31],
    [67, 61, 45, 47, 62, 80, 41], [64, 53, 53, 58, 58, 67, 34], [67, 60, 47, 39, 59, 74, 41],
    [69, 62, 57, 42, 55, 63, 25], [68, 83, 83, 45, 59, 77, 35], [77, 77, 54, 72, 79, 77, 46],
    [81, 90, 50, 72, 60, 54, 36], [74, 85, 64, 69, 79, 79, 63], [65, 60, 65, 75, 55, 80, 60],
    [65, 70, 46, 57, 75, 85, 46], [50, 58, 68, 54, 64, 78, 52], [50, 40, 33, 34, 43, 64, 33],
    [64, 61, 52, 62, 66, 80, 41], [53, 66, 52, 50, 63, 80, 37], [40, 37, 42, 58, 50, 57, 49],
    [63, 54, 42, 48, 66, 75, 33], [66, 77, 66, 63, 88, 76, 72], [78, 75, 58, 74, 80, 78, 49],
    [48, 57, 44, 45, 51, 83, 38], [85, 85, 71, 71, 77, 74, 55], [82, 82, 39, 59, 64, 78, 39],
]  # fmt: skip


# Held to references


def test_alpha_and_corrected_item_totals_are_those_that_r_prints():
    """`psych::alpha(attitude)`, in that package's manual: raw_alpha and r.drop."""
    alpha = cronbach_alpha(ATTITUDE)
    assert alpha is not None
    assert alpha.value == pytest.approx(0.84, abs=0.005)
    found = [each.value for each in discriminations(ATTITUDE) if each is not None]
    assert found == pytest.approx([0.67, 0.74, 0.56, 0.71, 0.79, 0.27, 0.46], abs=0.006)


def test_the_interval_of_alpha_holds_the_true_one_as_often_as_it_says():
    draw = np.random.default_rng(1)
    items, share = 8, 0.4  # parallel items that correlate by 0.4
    true = items * share / (1 + (items - 1) * share)  # Spearman and Brown
    held = []
    for _ in range(600):
        ability = draw.normal(size=(30, 1))
        scores = share**0.5 * ability + (1 - share) ** 0.5 * draw.normal(size=(30, items))
        alpha = cronbach_alpha(scores.tolist())
        assert alpha is not None
        held.append(alpha.low <= true <= alpha.high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_interval_of_a_correlation_holds_the_true_one_as_often_as_it_says():
    draw = np.random.default_rng(2)
    held = []
    for _ in range(600):
        pair = draw.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=25)
        found = correlation(*pair.T.tolist())
        assert found is not None
        held.append(found.low <= 0.5 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_what_is_not_defined_is_none():
    assert cronbach_alpha([[1, 0], [0, 1], [1, 1], [0, 0]]) is None  # too few
    assert cronbach_alpha([[1, 1]] * 9) is None
    assert correlation([1.0] * 9, list(range(9))) is None
    assert discriminations([]) == []


def test_item_response_finds_the_figures_that_a_large_class_was_drawn_from():
    pytest.importorskip("mirt")
    made = make_class(600, 20, seed=4, second_tries=False)
    report = class_report(made.graded)
    curves = [curve for curve in report.item_response.curves if curve is not None]
    assert len(curves) == 20
    found = np.array([[c.difficulty, c.difficulty_error, c.slope, c.slope_error] for c in curves])
    assert np.corrcoef(found[:, 0], made.difficulties)[0, 1] > 0.97
    for at, true in ((0, made.difficulties), (2, made.slopes)):
        inside = np.abs(found[:, at] - np.array(true)) < 1.96 * found[:, at + 1]
        assert inside.mean() >= 0.85
    # The classical figures say the same: a hard item is answered right by few.
    assert np.corrcoef([i.difficulty or 0 for i in report.items], made.difficulties)[0, 1] < -0.95


def test_a_small_class_gets_no_item_response_and_is_told_why(monkeypatch):
    note = item_response([[1, 0]] * 40).note
    assert note == f"40 students are too few; it takes {FEWEST_STUDENTS}."
    assert "0 items" in item_response([[1] * 9] * 200).note
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "lora-lab[class]" in item_response([[n % 2] * 6 for n in range(200)]).note
