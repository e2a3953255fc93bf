"""What an adapter's first two matrices are and do, observed on a small layer: for lesson 02."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.comparing import same
from labs_lib.assessment.exercises.observed import malformed


def probe_prepare(prepare: Any, d_in: int, d_out: int, rank: int, seed: int) -> dict[str, Any]:
    """Let the student prepare an adapter for a small layer twice; say what came out of it.

    The second time the layer is the same, and the random numbers are others: what is made of the
    layer, or of nothing, comes out the same.
    """
    first, again = (_prepared(prepare, d_in, d_out, rank, seed, seed + more) for more in (0, 1))
    if "A" not in first or "A" not in again:
        return first
    return {**first, "A_again": again["A"]}


def _prepared(
    prepare: Any, d_in: int, d_out: int, rank: int, layer_seed: int, seed: int
) -> dict[str, Any]:
    import numpy as np
    import torch

    torch.manual_seed(layer_seed)
    base, x = torch.nn.Linear(d_in, d_out), torch.randn(3, d_in)
    before = [part.detach().clone() for part in (base.weight, base.bias)]
    answer = base(x).detach()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    made = prepare(base, rank)
    if made is None or made is ...:
        return {"blank": True}
    if (
        not isinstance(made, (tuple, list))
        or len(made) != 2
        or not all(isinstance(part, torch.Tensor) and part.ndim == 2 for part in made)
        or not all(part.is_floating_point() and not part.is_meta for part in made)
    ):
        return malformed()
    A, B = made
    return {
        "right_shapes": A.shape == (rank, d_in) and B.shape == (d_out, rank),
        "swapped_shapes": A.shape == (d_in, rank) and B.shape == (rank, d_out),
        "order_swapped": A.shape == (d_out, rank) and B.shape == (rank, d_in),
        "weight_trains": base.weight.requires_grad,
        "bias_trains": base.bias is not None and base.bias.requires_grad,
        "both_train": A.requires_grad and B.requires_grad,
        "leaves": A.is_leaf and B.is_leaf,
        "shared": A.untyped_storage().data_ptr() == base.weight.untyped_storage().data_ptr(),
        "overlaps": any(
            step == 0 and side > 1
            for part in (A, B)
            for step, side in zip(part.stride(), part.shape, strict=True)
        ),
        "answer_before": answer,
        "answer_after": base(x.to(base.weight.dtype)).detach(),
        "x": x,
        "gradient": _gradient_of_b(A, B, x),
        "base_before": before,
        "base_after": [base.weight.detach().clone()]
        + ([] if base.bias is None else [base.bias.detach().clone()]),
        "A": A.detach().double(),
        "B": B.detach().double(),
    }


def _gradient_of_b(A: Any, B: Any, x: Any) -> Any:
    """Return the gradient of B for the sum of the adapter's outputs; None if there is none."""
    import torch

    if A.shape[-1] != x.shape[-1] or B.shape[-1] != A.shape[0] or not B.requires_grad:
        return None
    with torch.enable_grad():
        (x.to(A.dtype) @ A.T @ B.T.to(A.dtype)).sum().backward()
    return None if B.grad is None else B.grad.double()


def gets_gradient(result: Any) -> bool:
    """Return whether B got the gradient that x and A give it."""
    import torch

    expected = (result["x"].double() @ result["A"].T).sum(dim=0).expand(result["B"].shape)
    got = result["gradient"]
    return got is not None and bool(torch.allclose(got, expected, rtol=0.05, atol=0.05))


def base_changed(result: Any) -> bool:
    """Return whether the base's weight or bias is another than before."""
    return not same(result["base_after"], result["base_before"], 1e-7)


def answers_otherwise(result: Any) -> bool:
    """Return whether the base's output for x is another than before."""
    return not same(result["answer_after"], result["answer_before"], 1e-4)


def is_zero(field: str) -> Callable[[Any], bool]:
    """Return a test: the matrix A or B is zero throughout."""
    return lambda result: not bool(result[field].any())


def rows_alike(result: Any) -> bool:
    """Return whether all rows of A are the same."""
    A = result["A"]
    return len(A) > 1 and bool((A[0] == A).all())


def repeats(result: Any) -> bool:
    """Return whether a row of A comes out the same, nearly everywhere, the second time."""
    drawn = result["A"] != 0
    alike = (result["A"] == result["A_again"]) & drawn
    # Of two values (signs, say) half come out the same by chance.
    return bool(((alike.sum(dim=1) > 0.9 * drawn.sum(dim=1)) & drawn.any(dim=1)).any())


def is_sparse(result: Any) -> bool:
    """Return whether more than half of A is zero."""
    return bool((result["A"] == 0).double().mean() > 0.5)


def has_independent_rows(result: Any) -> bool:
    """Return whether the rows of A point in directions of their own, none nearly lost."""
    import torch

    sizes = torch.linalg.svdvals(result["A"])
    return bool(sizes.min() > 1e-3 * sizes.max())


def has_usual_size(result: Any) -> bool:
    """Return whether A's numbers are of the order of 1/√d_in."""
    return 1e-3 < float(result["A"].std() * result["A"].shape[1] ** 0.5) < 20
