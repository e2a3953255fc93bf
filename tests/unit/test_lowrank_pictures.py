"""The pictures on low rank say in title and words what the numbers handed in show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labs_lib import lowrank
from labs_lib.figures import Picture
from labs_lib.lowrank import pictures

SPECTRUM = lowrank.energy_by_rank([4.0, 2.0, 2.0, 1.0])
FLAT = lowrank.energy_by_rank([1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were shown."""
    figures: list[Any] = []

    def show(fig: Any, *, alt: str) -> Picture:
        figures.append(fig)
        return Picture(b"", alt)

    monkeypatch.setattr(pictures, "show", show)
    return figures


def lines_of(figure: Any) -> dict[str, list[float]]:
    """Return the values of each labeled line."""
    lines = figure.axes[0].get_lines()
    return {each.get_label(): [float(y) for y in each.get_ydata()] for each in lines}


def test_the_factors_are_drawn_to_scale(drawn: list[Any]):
    alt = lowrank.draw_factors(5000, 4000, rank=8).alt
    axes = drawn[0].axes[0]
    sides = [tuple(np.ptp(patch.get_xy(), axis=0)) for patch in axes.patches]
    assert sides == [(4000, 5000), (8, 5000), (4000, 8)]
    assert axes.get_aspect() == 1.0
    assert axes.get_title(loc="left") == "B and A hold 0.36% of the numbers of ΔW"
    assert "B 5000 × 8" in alt
    assert "A 8 × 4000" in alt


@pytest.mark.parametrize(
    ("last", "title"),
    [
        (4.0, "1 of 2 starts learn; no progress from: both zero"),
        (2.0, "2 of 2 starts learn"),
        (9.0, "1 of 2 starts learn; no progress from: both zero"),
    ],
)
def test_the_starts_that_learn_are_counted(drawn: list[Any], last: float, title: str):
    picture = lowrank.draw_starts({"B zero": [4.0, 3.0, 2.5], "both zero": [4.0, 4.0, last]})
    assert drawn[0].axes[0].get_title(loc="left") == title
    assert picture.alt.startswith(title)
    assert "B zero 4.00 to 2.50" in picture.alt
    assert lines_of(drawn[0])["B zero"] == [4.0, 3.0, 2.5]


def test_a_picture_is_cut_at_each_rank(drawn: list[Any]):
    picture = np.diag([4.0, 2.0, 2.0, 1.0])
    alt = lowrank.draw_at_ranks(picture, (1, 2, 4)).alt
    assert alt.startswith("Rank 2 keeps 80.0% of the energy with 100% of the numbers")
    shown = [axes.get_images()[0].get_array() for axes in drawn[0].axes]
    assert [np.linalg.matrix_rank(each) for each in shown] == [1, 2, 4]
    assert drawn[0].axes[0].get_title(loc="left") == "rank 1: 64.0%"


def test_the_energy_of_each_kind_is_told_by_its_span(drawn: list[Any]):
    energies = [{"ΔW": SPECTRUM, "W": FLAT}, {"ΔW": FLAT, "W": FLAT}]
    alt = lowrank.draw_energy(energies, rank=1).alt
    assert alt.startswith("Energy kept at rank 1: ΔW 25% to 64%, W 25% to 25%")
    labels = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert labels == ["ΔW", "W"]


def test_the_descent_is_compared_with_the_best(drawn: list[Any]):
    alt = lowrank.draw_descent([0.4, 0.22, 0.3], best=0.2, rank=8).alt
    assert alt == "B·A trained for 3 steps ends 50.0% above the truncated SVD's error, 0.2000."
    assert lines_of(drawn[0])["truncated SVD"] == [0.2, 0.2]


def test_effect_and_energy_are_drawn_by_rank(drawn: list[Any]):
    effect, energy = {8: 0.9, 1: 0.5}, {"all": 1.0, 1: 0.2, 8: 0.6}
    alt = lowrank.draw_effect(effect, energy).alt
    assert alt.startswith("Rank 8 keeps 60% of the energy and 90% of the effect")
    assert lines_of(drawn[0])["effect on the loss"] == [0.5, 0.9]
    assert lines_of(drawn[0])["energy ‖ΔW‖²"] == [0.2, 0.6]
