"""Cases of lesson 02x's exercises."""

from __future__ import annotations

from labs_lib.assessment.exercises.cases import Case, torch_loaded

ENERGY, FACTORS = "02x.energy-kept", "02x.best-factors"


def summed(spectrum, rank):
    return sum(s * s for s in spectrum[:rank]) / sum(s * s for s in spectrum)


def by_norms(spectrum, rank):
    import numpy as np

    return (np.linalg.norm(spectrum[:rank]) / np.linalg.norm(spectrum)) ** 2


def by_tensor(spectrum, rank):
    import torch

    energy = torch.tensor(spectrum).square()
    return energy.cumsum(0)[rank - 1] / energy.sum()


def svd_of(M):
    import torch

    return torch.linalg.svd(M, full_matrices=False)


def roots_in_both(M, rank):
    U, S, Vh = svd_of(M)
    root = S[:rank].sqrt()
    return [root[:, None] * Vh[:rank], U[:, :rank] * root]


def by_numpy(M, rank):
    import numpy as np

    U, S, Vh = np.linalg.svd(M.numpy())
    return np.diag(S[:rank]) @ Vh[:rank], U[:, :rank]


def by_projection(M, rank):
    U, _, _ = svd_of(M)
    return U[:, :rank].T @ M, U[:, :rank]


def first_columns(M, rank):
    import torch

    basis, _ = torch.linalg.qr(M[:, :rank])
    return basis.T @ M, basis


def swapped(M, rank):
    return by_projection(M, rank)[::-1]


def not_cut(M, rank):
    U, S, Vh = svd_of(M)
    return Vh, U * S


def without_values(M, rank):
    U, _, Vh = svd_of(M)
    return Vh[:rank], U[:, :rank]


def values_twice(M, rank):
    U, S, Vh = svd_of(M)
    return S[:rank, None] * Vh[:rank], U[:, :rank] * S[:rank]


def last_terms(M, rank):
    U, S, Vh = svd_of(M)
    return Vh[-rank:], U[:, -rank:] * S[-rank:]


def product_only(M, rank):
    U, S, Vh = svd_of(M)
    return (U[:, :rank] * S[:rank]) @ Vh[:rank]


def squares(spectrum):
    return (spectrum**2).sum()


CASES: list[Case] = [
    (ENERGY, summed, "correct", "over the squares of all"),
    (ENERGY, by_norms, "correct", "over the squares of all"),
    (ENERGY, torch_loaded(by_tensor), "correct", "over the squares of all"),
    (ENERGY, lambda s, rank: s[:rank].sum() / s.sum(), "incorrect", "adds their squares"),
    (ENERGY, lambda s, rank: squares(s[rank:]) / squares(s), "incorrect", "is lost"),
    (ENERGY, lambda s, rank: (squares(s[rank:]) / squares(s)) ** 0.5, "incorrect",
     "the relative error"),
    (ENERGY, lambda s, rank: (squares(s[:rank]) / squares(s)) ** 0.5, "incorrect",
     "square root of the share:"),
    (ENERGY, lambda s, rank: squares(s[: rank + 1]) / squares(s), "incorrect",
     "one singular value"),
    (ENERGY, lambda s, rank: rank / len(s), "incorrect", "are not equal"),
    (ENERGY, lambda s, rank: squares(s[:rank]), "incorrect", "the energy itself"),
    (ENERGY, lambda s, rank: 0.64, "incorrect", "expected"),
    (ENERGY, lambda s: s, "error", "TypeError"),
    (FACTORS, torch_loaded(roots_in_both), "correct", "truncated SVD"),
    (FACTORS, torch_loaded(by_numpy), "correct", "truncated SVD"),
    (FACTORS, torch_loaded(by_projection), "correct", "truncated SVD"),
    (FACTORS, torch_loaded(swapped), "incorrect", "return B first"),
    (FACTORS, torch_loaded(not_cut), "incorrect", "keep all terms"),
    (FACTORS, torch_loaded(without_values), "incorrect", "singular values are missing"),
    (FACTORS, torch_loaded(values_twice), "incorrect", "counts twice"),
    (FACTORS, torch_loaded(last_terms), "incorrect", "the weakest"),
    (FACTORS, torch_loaded(first_columns), "incorrect", "not the best approximation"),
    (FACTORS, torch_loaded(product_only), "incorrect", "two matrices"),
    (FACTORS, lambda M, rank: print(), "incorrect", "returns nothing"),
    (FACTORS, lambda M, rank: ("A", "B"), "incorrect", "two matrices"),
    (FACTORS, lambda M, rank: M.undefined, "error", "AttributeError"),
]  # fmt: skip
