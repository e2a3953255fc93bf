"""The best rank-r approximation of a matrix, what it keeps and what it loses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labs_lib.errors import LabError, shorten
from labs_lib.lowrank.knobs import check_rank


@dataclass(frozen=True, eq=False)
class Factorisation:
    """A singular value decomposition, W = U · diag(σ) · Vᵀ, computed once and cut at any rank.

    Shapes: `left` is U (d_out, k), `spectrum` is σ (k,), largest first, `right` is Vᵀ (k, d_in),
    with k = min(d_out, d_in). By the Eckart–Young theorem (1936) no matrix of rank r is nearer to
    W, in the Frobenius or the spectral norm, than the one of the first r terms.
    """

    left: np.ndarray
    spectrum: np.ndarray
    right: np.ndarray
    energy_left: np.ndarray = field(init=False, repr=False)
    """Σ σ² beyond each rank 0 … k, summed from the smallest so that nothing cancels."""

    def __post_init__(self) -> None:
        squares = np.square(self.spectrum.astype(np.float64))
        energy_left = np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])
        object.__setattr__(self, "energy_left", energy_left)

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        return self.left.shape[0], self.right.shape[1]

    @property
    def largest_rank(self) -> int:
        """min(d_out, d_in): no matrix of this shape has a higher rank."""
        return len(self.spectrum)

    def approximation(self, rank: int) -> np.ndarray:
        """Return the best rank-`rank` approximation, (d_out, d_in)."""
        check_rank(rank, *self.shape)
        return (self.left[:, :rank] * self.spectrum[:rank]) @ self.right[:rank]

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `lora_B` (d_out, r) and `lora_A` (r, d_in) whose product is that approximation.

        Each takes the square root of the singular values, so that neither is the larger.
        """
        check_rank(rank, *self.shape)
        root = np.sqrt(self.spectrum[:rank])
        return self.left[:, :rank] * root, root[:, None] * self.right[:rank]

    def error(self, rank: int) -> float:
        """Return ‖W − W_r‖ in the Frobenius norm: √(σ²_{r+1} + … + σ²_k)."""
        check_rank(rank, *self.shape)
        return float(np.sqrt(self.energy_left[rank]))

    def relative_error(self, rank: int) -> float:
        """Return ‖W − W_r‖ / ‖W‖ in the Frobenius norm, 0 for a matrix of zeros."""
        total = float(np.sqrt(self.energy_left[0]))
        return self.error(rank) / total if total else 0.0

    def energy_kept(self, rank: int) -> float:
        """Return the share of ‖W‖² that rank `rank` keeps, from 0 to 1."""
        return 1.0 - self.relative_error(rank) ** 2


def factorise(matrix: Any) -> Factorisation:
    """Decompose a matrix (d_out, d_in): a NumPy array, a torch tensor, or nested lists.

    32-bit and narrower input is decomposed in 32 bits, 64-bit input in 64. Raises `LabError` for
    anything but a finite matrix with two dimensions.
    """
    array = as_matrix(matrix)
    left, spectrum, right = np.linalg.svd(array, full_matrices=False)
    return Factorisation(left, spectrum, right)


def spectrum_of(matrix: Any) -> np.ndarray:
    """Return the singular values of a weight or an update, largest first, (min(d_out, d_in),)."""
    return np.linalg.svd(as_matrix(matrix), compute_uv=False)


def energy_by_rank(spectrum: Any) -> np.ndarray:
    """Return the share of ‖W‖² kept at ranks 1 … k, from the singular values; the last is 1."""
    squares = np.square(np.asarray(spectrum, dtype=np.float64))
    total = squares.sum()
    return np.cumsum(squares) / total if total else np.ones_like(squares)


def effective_rank(spectrum: Any) -> float:
    """Return exp(entropy of σ/Σσ): how many directions the matrix really uses, 1 … k.

    k equal singular values give k, a single one gives 1 (Roy and Vetterli, "The effective rank",
    EUSIPCO 2007). A matrix of zeros has effective rank 0.
    """
    values = np.asarray(spectrum, dtype=np.float64)
    if not values.sum():
        return 0.0
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def as_matrix(matrix: Any) -> np.ndarray:
    """Return a finite float array of two dimensions, from an array, a tensor or nested lists."""
    if hasattr(matrix, "detach"):
        tensor = matrix.detach().cpu()
        if not tensor.is_floating_point() or tensor.element_size() < 4:
            tensor = tensor.float()
        matrix = tensor.numpy()
    try:
        array = np.asarray(matrix)
        array = array.astype(np.float64 if array.dtype.itemsize >= 8 else np.float32, copy=False)
    except (TypeError, ValueError):
        raise LabError(f"matrix: {shorten(matrix)} is not a matrix of numbers") from None
    if array.ndim != 2 or 0 in array.shape:
        raise LabError(f"matrix: its shape is {array.shape}; legal: (d_out, d_in), both 1 or more")
    if not np.isfinite(array).all():
        raise LabError("matrix: it holds infinities or NaN; legal: finite numbers")
    return array
