"""The two factors whose product is the best approximation of a matrix."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception, Property
from labs_lib.assessment.exercises.observed import malformed, well_formed

_TOLERANCE = 1e-3


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    """Return random matrices, one of them square, each with a rank below its sides."""
    import torch

    numbers = torch.Generator().manual_seed(generator.randint(0, 2**31))
    return [
        (torch.randn(rows, columns, generator=numbers), rank)
        for rows, columns, rank in ((9, 6, 2), (6, 9, 3), (8, 8, 2))
    ]


def _probe(best_factors: Any, M: Any, rank: int) -> dict[str, Any]:
    """Return M, the rank and the student's two factors, as numbers."""
    import torch

    made = best_factors(M.clone(), rank)
    if made is None or made is ...:
        return {"blank": True}
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        return malformed()
    try:
        A, B = (torch.as_tensor(part).detach().double() for part in made)
    except (TypeError, ValueError, RuntimeError):
        return malformed()
    if A.ndim != 2 or B.ndim != 2:
        return malformed()
    return {"M": M.double(), "rank": rank, "A": A, "B": B}


def _each(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda results: all(test(result) for result in results)


def _has(field: str) -> Callable[[Any], bool]:
    return _each(lambda result: bool(result.get(field)))


def _shapes(result: Any, a: tuple[str, str], b: tuple[str, str]) -> bool:
    """Return whether A and B have these shapes, in words: "rank", "d_in", "d_out", "k"."""
    d_out, d_in = result["M"].shape
    sides = {"rank": result["rank"], "d_in": d_in, "d_out": d_out, "k": min(d_out, d_in)}
    wanted = tuple(tuple(sides[side] for side in shape) for shape in (a, b))
    return (tuple(result["A"].shape), tuple(result["B"].shape)) == wanted


def _right_shapes(result: Any) -> bool:
    return _shapes(result, ("rank", "d_in"), ("d_out", "rank"))


def _product_is(product: Callable[..., Any]) -> Callable[[Any], bool]:
    """Return a test: B·A is what `product` makes of U, S, Vh and the rank."""

    def test(result: Any) -> bool:
        import torch

        if not _right_shapes(result):
            return False
        parts = torch.linalg.svd(result["M"], full_matrices=False)
        wanted = product(*parts, result["rank"])
        got = result["B"] @ result["A"]
        return bool((got - wanted).norm() <= _TOLERANCE * wanted.norm())

    return test


def _truncated(U: Any, S: Any, Vh: Any, rank: int) -> Any:
    return (U[:, :rank] * S[:rank]) @ Vh[:rank]


FACTORS = Exercise(
    id="02x.best-factors",
    title="The best two factors of a matrix",
    objective="rank",
    task=(
        "Write `best_factors(M, rank)`. `M` is a tensor of shape (d_out, d_in). Return `(A, B)` "
        "of shapes (rank, d_in) and (d_out, rank), so that `B @ A` is the best approximation of "
        "`M` of this rank."
    ),
    answer="best_factors",
    hints=(
        "U, S, Vh = torch.linalg.svd(M, full_matrices=False) gives M = U · diag(S) · Vh.",
        "Keep the first `rank` columns of U, the first `rank` numbers of S and the first `rank` "
        "rows of Vh.",
        "Multiply the singular values into one of the factors: U[:, :rank] * S[:rank].",
    ),
    check=FunctionCheck(
        cases=_cases,
        probe=_probe,
        properties=(
            well_formed("best_factors should return two matrices, A and B."),
            Property(_each(_right_shapes), "A should be (rank, d_in) and B (d_out, rank)."),
            Property(
                _each(_product_is(_truncated)),
                "B @ A is not the best approximation of this rank: the first `rank` terms of the "
                "SVD.",
            ),
        ),
        misconceptions=(
            Misconception(
                "no-return",
                "best_factors returns nothing; does it end with return A, B?",
                when=_has("blank"),
            ),
            Misconception(
                "order-swapped",
                "You return B first. A is the one with d_in columns, (rank, d_in).",
                when=_each(lambda result: _shapes(result, ("d_out", "rank"), ("rank", "d_in"))),
            ),
            Misconception(
                "not-cut",
                "You keep all terms. Keep the first `rank` of them, so that the inner side of the "
                "product is `rank`.",
                when=_each(lambda result: _shapes(result, ("k", "d_in"), ("d_out", "k"))),
            ),
            Misconception(
                "no-singular-values",
                "The singular values are missing from the product: multiply them into one factor.",
                when=_each(_product_is(lambda U, _S, Vh, rank: U[:, :rank] @ Vh[:rank])),
            ),
            Misconception(
                "singular-values-twice",
                "The singular values are in both factors, so each counts twice. Multiply them into "
                "one factor, or their square roots into both.",
                when=_each(
                    _product_is(lambda U, S, Vh, rank: (U[:, :rank] * S[:rank] ** 2) @ Vh[:rank])
                ),
            ),
            Misconception(
                "last-terms",
                "You keep the last terms, which are the weakest; the SVD puts the strongest first.",
                when=_each(
                    _product_is(lambda U, S, Vh, rank: (U[:, -rank:] * S[-rank:]) @ Vh[-rank:])
                ),
            ),
        ),
    ),
    praise="B @ A is the truncated SVD: no product of these shapes is closer to M.",
)
