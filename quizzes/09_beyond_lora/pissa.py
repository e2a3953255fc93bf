"""PiSSA's start: the strongest directions are trained, the rest is frozen (arXiv 2404.02948)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception, Property
from labs_lib.assessment.exercises.observed import malformed, well_formed

from .random_maps import SHAPES, drawing, peft_layer

CLOSE = 1e-3  # of the weight's size: two singular value decompositions in fp32 differ by less


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    return [
        (drawing(generator)(d_out, d_in), rank, generator.choice((0.5, 2.0, 4.0)))
        for d_in, d_out, rank in SHAPES
    ]


def _probe(function: Any, W: Any, rank: int, scaling: float) -> Any:
    """Return what does not depend on the signs that a decomposition happens to choose."""
    import torch

    kept = W.clone()
    made = function(W, rank, scaling)
    if made is None or made is ...:
        return ...
    if not isinstance(made, (tuple, list)) or len(made) != 3:
        return malformed()
    if not all(isinstance(part, torch.Tensor) and part.ndim == 2 for part in made):
        return malformed()
    frozen, A, B = (part.detach().float() for part in made)
    if frozen.shape != W.shape:
        return malformed()
    shapes = (tuple(A.shape), tuple(B.shape))
    d_out, d_in = W.shape
    if shapes != ((rank, d_in), (d_out, rank)):
        return {"shapes": shapes == ((d_in, rank), (rank, d_out)), "misfit": True}
    return {
        "weight": kept,
        "scaling": scaling,
        "frozen": frozen,
        "product": B @ A,
        "sizes_a": A.norm(dim=1),
        "sizes_b": B.norm(dim=0),
        "changed": not torch.equal(W, kept),
    }


def _reference(W: Any, rank: int, scaling: float) -> dict[str, Any]:
    """Return PEFT's start, observed in the same way."""
    layer = peft_layer(W, None, rank, scaling, init_lora_weights="pissa")
    A, B = (getattr(layer, name)["default"].weight.detach() for name in ("lora_A", "lora_B"))
    return {
        "frozen": layer.base_layer.weight.detach(),
        "product": B @ A,
        "sizes_a": A.norm(dim=1),
        "sizes_b": B.norm(dim=0),
    }


def _near(found: Any, wanted: Any) -> bool:
    return bool((found - wanted).norm() <= CLOSE * (1 + wanted.norm()))


def _right(result: Any, field: str) -> bool:
    weight = result["weight"]
    right = _reference(weight, len(result["sizes_a"]), result["scaling"])
    return _near(result[field], right[field])


def _each(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda results: all(test(result) for result in results)


def _starts_at_base(result: Any) -> bool:
    return _near(result["frozen"] + result["scaling"] * result["product"], result["weight"])


def _by_product(make: Callable[[Any, Any, Any, int, float], Any]) -> Callable[[Any], bool]:
    """Return a test: B·A is what `make` gives from U, S, Vh, rank and scaling, in every case."""

    def test(result: Any) -> bool:
        import torch

        rank = len(result["sizes_a"])
        U, S, Vh = torch.linalg.svd(result["weight"], full_matrices=False)
        return _near(result["product"], make(U, S, Vh, rank, result["scaling"]))

    return _each(test)


PISSA_START = Exercise(
    id="09.pissa-start",
    title="PiSSA's start",
    objective="write",
    task=(
        "Write `pissa_start(W, rank, scaling)`. From the singular value decomposition of `W` "
        "(d_out, d_in), put the `rank` strongest directions into the adapter and leave the rest "
        "frozen. Return `(frozen, A, B)` so that `frozen + scaling * B @ A` is `W`, with `A` "
        "(rank, d_in), `B` (d_out, rank), and each singular value shared equally between A and B."
    ),
    answer="pissa_start",
    hints=(
        "torch.linalg.svd(W, full_matrices=False) returns U, S and Vh, strongest first; W is "
        "U @ diag(S) @ Vh.",
        "The adapter will be multiplied by scaling, so B @ A has to hold S[:rank] / scaling.",
        "Give each factor the square root: B = U[:, :rank] * half, A = half[:, None] * Vh[:rank].",
    ),
    check=FunctionCheck(
        cases=_cases,
        probe=_probe,
        properties=(
            well_formed(
                "pissa_start should return three matrices, frozen, A and B; frozen has W's shape."
            ),
            Property(
                lambda results: not any("misfit" in result for result in results),
                "A should be (rank, d_in) and B (d_out, rank).",
            ),
            Property(
                _each(lambda result: not result["changed"]), "W itself was changed; make a new one."
            ),
            Property(
                _each(_starts_at_base),
                "frozen + scaling·B·A is not W, so the model would start somewhere else.",
            ),
            Property(
                _each(lambda result: _right(result, "product")),
                "B·A does not hold the strongest directions of W, divided by scaling.",
            ),
            Property(
                _each(lambda result: _right(result, "frozen")),
                "frozen is not what the strongest directions leave of W.",
            ),
            Property(
                _each(lambda r: _right(r, "sizes_a") and _right(r, "sizes_b")),
                "Each singular value should be shared equally: its square root in A and in B.",
            ),
        ),
        misconceptions=(
            Misconception(
                "shapes-transposed",
                "Those are (d_in, r) and (r, d_out). PEFT keeps A as (r, d_in), B as (d_out, r).",
                when=_each(lambda result: result.get("misfit", False) and result["shapes"]),
            ),
            Misconception(
                "residual-forgotten",
                "You leave W as it is and add its strongest directions again. Take them out of "
                "the frozen part.",
                when=_each(
                    lambda result: (
                        _near(result["frozen"], result["weight"])
                        and bool(result["product"].norm() > CLOSE)
                    )
                ),
            ),
            Misconception(
                "weakest-directions",
                "Those are the weakest directions. PiSSA trains the "
                "strongest (MiLoRA the weakest).",
                when=_by_product(lambda U, S, Vh, r, s: U[:, -r:] * S[-r:] / s @ Vh[-r:]),
            ),
            Misconception(
                "scaling-forgotten",
                "B·A holds the singular values themselves. The layer multiplies B·A by scaling, "
                "so they have to be divided by it.",
                when=_by_product(lambda U, S, Vh, r, _s: U[:, :r] * S[:r] @ Vh[:r]),
            ),
            Misconception(
                "singular-values-lost",
                "B·A has the directions but not their strengths: the singular values are missing.",
                when=_by_product(lambda U, _S, Vh, r, _s: U[:, :r] @ Vh[:r]),
            ),
            Misconception(
                "whole-value-in-both",
                "You put the whole singular value into A and into B, so their product has its "
                "square.",
                when=_by_product(lambda U, S, Vh, r, s: U[:, :r] * (S[:r] / s) ** 2 @ Vh[:r]),
            ),
            Misconception(
                "plain-start",
                "B·A is zero: that is plain LoRA's start.",
                when=_each(lambda result: not bool(result["product"].any())),
            ),
        ),
    ),
    decoys=(
        "    half = S[:rank].sqrt()",
        "    return W, A, B",
    ),
    praise='PEFT starts with the same matrices for init_lora_weights="pissa".',
)
