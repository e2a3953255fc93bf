"""A matrix as outer products: the terms add up, and the figures are those of the whole matrix."""

import json

import numpy as np
import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.lowrank import factorise, outer_figures, outer_terms, sample_matrix, sample_picture
from labs_lib.lowrank.outer_products import numbers
from labs_lib.widgets import OuterProducts

LARGE = np.random.default_rng(1).normal(size=(130, 90)) + 0.2


@pytest.mark.parametrize("matrix", [sample_matrix(), sample_picture(48), LARGE[:5, :64]])
def test_all_terms_add_up_to_a_small_matrix(matrix):
    terms = outer_terms(matrix)
    assert terms["step"] == 1
    assert terms["grid"] == []
    total = numbers(terms["columns"]).T @ numbers(terms["rows"])
    assert np.allclose(total, matrix, atol=0.01 * np.abs(matrix).max())
    assert outer_figures(terms, len(terms["columns"]))["error"] == 0


def test_a_large_matrix_is_seen_through_a_grid_and_measured_in_full():
    terms = outer_terms(LARGE)
    assert (terms["step"], len(terms["columns"]), len(numbers(terms["spectrum"]))) == (3, 64, 90)
    assert np.allclose(numbers(terms["grid"]), LARGE[::3, ::3], rtol=1e-2)
    parts = factorise(LARGE)
    for rank in (0, 1, 8, 64):
        figures = outer_figures(terms, rank)
        rest = LARGE - (parts.approximation(rank) if rank else 0)
        error = np.linalg.norm(rest) / np.linalg.norm(LARGE)
        assert figures["error"] == pytest.approx(error, rel=1e-5)
        assert figures["kept"] == pytest.approx(1 - error**2, abs=1e-5)
        if rank:
            columns, rows = (numbers(terms[name][:rank]) for name in ("columns", "rows"))
            assert np.allclose(columns.T @ rows, parts.approximation(rank)[::3, ::3], atol=0.05)
        assert (figures["term_numbers"], figures["matrix_numbers"]) == (rank * 220, 11_700)


def test_the_mean_alone_is_measured_by_hand():
    flat = np.full_like(LARGE, LARGE.mean())
    lost = np.linalg.norm(LARGE - flat) ** 2 / np.linalg.norm(LARGE) ** 2
    figures = outer_figures(outer_terms(LARGE), 8)
    assert figures["mean_kept"] == pytest.approx(1 - lost)
    assert figures["mean_error"] == pytest.approx(lost**0.5)
    assert figures["over_mean"] == pytest.approx(1 - (1 - figures["kept"]) / lost)


def test_the_small_matrix_has_rank_three():
    terms = outer_terms(sample_matrix())
    spectrum = numbers(terms["spectrum"])
    assert spectrum[2] > 0 == spectrum[3]
    assert [outer_figures(terms, rank)["error"] < 1e-9 for rank in (2, 3)] == [False, True]


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.ones((1, 1)), np.ones((300, 2))])
def test_odd_matrices_have_figures_and_a_picture(matrix):
    shown = OuterProducts({"odd": matrix}, source="odd", rank=1)
    assert "nan" not in json.dumps(shown.figures()).lower()
    assert "nan" not in shown.line()
    assert shown.picture().startswith("<svg")


def test_a_tensor_is_a_matrix_and_what_is_none_is_named():
    tensor = torch.tensor(LARGE, dtype=torch.float32)
    assert outer_terms(tensor)["shape"] == [130, 90]
    for make, expected in (
        (lambda: OuterProducts({"bad": [1, 2]}), r"matrices\['bad'\]: matrix"),
        (lambda: OuterProducts(rank=7), "rank: 7 is not legal; a whole number from 0 to 6"),
        (lambda: OuterProducts(source="a pictur"), "did you mean 'a picture'"),
    ):
        with pytest.raises(LabError, match=expected):
            make()
