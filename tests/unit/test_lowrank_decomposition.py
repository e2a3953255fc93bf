"""The best rank-r approximation, held against the theorem, NumPy and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs_lib.errors import LabError
from labs_lib.lowrank import (
    effective_rank,
    energy_by_rank,
    factorise,
    spectrum_of,
)


def random_matrix(d_out, d_in, seed=0):
    return np.random.default_rng(seed).normal(size=(d_out, d_in))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_approximation_has_the_rank_and_the_error_eckart_young_states(d_out, d_in, data):
    matrix = random_matrix(d_out, d_in, seed=data.draw(st.integers(0, 99)))
    rank = data.draw(st.integers(1, min(d_out, d_in)))
    parts = factorise(matrix)
    nearest = parts.approximation(rank)
    assert np.linalg.matrix_rank(nearest) == rank
    distance = np.linalg.norm(matrix - nearest)
    assert parts.error(rank) == pytest.approx(distance, abs=1e-9)
    lora_B, lora_A = parts.factors(rank)
    assert lora_B.shape == (d_out, rank)
    assert lora_A.shape == (rank, d_in)
    assert np.allclose(lora_B @ lora_A, nearest)
    kept = energy_by_rank(parts.spectrum)
    assert kept[rank - 1] == pytest.approx(1 - distance**2 / np.linalg.norm(matrix) ** 2)
    assert parts.energy_kept(rank) == pytest.approx(kept[rank - 1])


def test_no_random_matrix_of_the_same_rank_comes_nearer():
    matrix, draw = random_matrix(8, 6), np.random.default_rng(1)
    best = factorise(matrix).error(2)
    for _ in range(200):
        left = draw.normal(size=(8, 2))
        rival = left @ np.linalg.lstsq(left, matrix, rcond=None)[0]
        assert np.linalg.norm(matrix - rival) >= best


def test_full_rank_loses_nothing_and_the_last_share_is_one():
    parts = factorise(random_matrix(5, 7))
    assert parts.error(5) == 0
    assert parts.energy_kept(5) == 1
    assert energy_by_rank(parts.spectrum)[-1] == 1
    assert parts.shape == (5, 7)
    assert parts.largest_rank == 5


def test_effective_rank_of_known_spectra():
    assert effective_rank([3, 3, 3, 3]) == pytest.approx(4)
    assert effective_rank([5, 0, 0]) == pytest.approx(1)
    assert 1 < effective_rank([5, 1, 0.1]) < 3
    assert effective_rank([0, 0]) == 0


def test_zeros_are_a_matrix_too():
    parts = factorise(np.zeros((3, 4)))
    assert parts.error(1) == 0
    assert parts.relative_error(1) == 0
    assert energy_by_rank(parts.spectrum).tolist() == [1, 1, 1]


def test_tensors_keep_their_precision():
    import torch

    weight = torch.randn(6, 4, dtype=torch.bfloat16, requires_grad=True)
    assert spectrum_of(weight).dtype == np.float32
    expected = torch.linalg.svdvals(weight.detach().float()).numpy()
    assert np.allclose(spectrum_of(weight), expected, atol=1e-5)
    assert spectrum_of(torch.eye(3, dtype=torch.float64)).dtype == np.float64
    assert factorise([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (0, "rank: 0 is not legal"),
        (-3, "rank: -3"),
        (2.5, "rank: 2.5"),
        (True, "rank: True"),
        (5, "rank: 5 is above 4, the smaller dimension of the matrix (6 × 4); legal: 1 to 4"),
    ],
)
def test_illegal_ranks_are_explained_in_one_line(rank, words):
    parts = factorise(random_matrix(6, 4))
    for use in (parts.approximation, parts.factors, parts.error, parts.energy_kept):
        with pytest.raises(LabError) as caught:
            use(rank)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [[1.0, 2.0], np.zeros((0, 3)), [[float("nan")]], "words", [[1], [2, 3]]]
)
def test_what_is_no_matrix_is_refused(bad):
    with pytest.raises(LabError, match="matrix"):
        factorise(bad)
