"""An adapter merged into its layer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

from .layers import layer_cases, names_mistake, probe_shapes


def _merged(W: Any, bias: Any, A: Any, B: Any, alpha: float) -> Any:
    return W + alpha / len(A) * (B @ A), bias


_MERGE_SHAPES: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "transposed": (
        lambda W, bias, A, B, alpha: [W + alpha / len(A) * (B @ A).T, bias],
        lambda W, bias, A, B, alpha: [W.T + alpha / len(A) * (B @ A), bias],
    ),
    "factors-swapped": (lambda W, bias, A, B, alpha: [W + alpha / len(A) * (A @ B), bias],),
}


def _probe_merge(function: Any, *case: Any) -> Any:
    return probe_shapes(function, _MERGE_SHAPES, *case)


def _merge_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    return [case[1:] for case in layer_cases(generator)]


def _merge_rescaled(scaling: Callable[[float, int], float]) -> Callable[..., Any]:
    return lambda W, bias, A, B, alpha: [W + scaling(alpha, len(A)) * (B @ A), bias]


MERGE = Exercise(
    id="02.merge",
    title="Merge the adapter into the layer",
    objective="merge",
    difficulty="easy",
    task=(
        "Write `merge(W, bias, A, B, alpha)`: return `(weight, bias)` of the one plain linear "
        "layer that computes what the layer with `W` and `bias` and its adapter compute together. "
        "Shapes as before: `W` (d_out, d_in), `A` (r, d_in), `B` (d_out, r)."
    ),
    answer="merge",
    hints=(
        "Write W·x + bias and the adapter's output as one matrix times x, plus a vector.",
        "What you add to W must have its shape, (d_out, d_in).",
        "The adapter has no bias, so the layer's bias is also the merged layer's.",
    ),
    check=FunctionCheck(
        cases=_merge_cases,
        probe=_probe_merge,
        reference=_merged,
        misconceptions=(
            Misconception(
                "no-scaling",
                "You add B·A without its scaling; the unmerged layer adds (alpha / r)·B·A.",
                wrong=_merge_rescaled(lambda _alpha, _rank: 1.0),
            ),
            Misconception(
                "alpha-is-scaling",
                "You scale by alpha itself. It is alpha / r; r is A.shape[0].",
                wrong=_merge_rescaled(lambda alpha, _rank: alpha),
            ),
            Misconception(
                "upside-down",
                "Your scaling is r / alpha, upside down.",
                wrong=_merge_rescaled(lambda alpha, rank: rank / alpha),
            ),
            Misconception(
                "bias-twice",
                "The bias comes out doubled. The adapter has none: the layer's stays as it is.",
                wrong=lambda W, bias, A, B, alpha: [_merged(W, bias, A, B, alpha)[0], 2 * bias],
            ),
            Misconception(
                "bias-scaled",
                "The bias was scaled with the update; alpha / r belongs to B·A alone.",
                wrong=lambda W, bias, A, B, alpha: [
                    _merged(W, bias, A, B, alpha)[0],
                    alpha / len(A) * bias,
                ],
            ),
            Misconception(
                "bias-dropped",
                "The layer's bias is gone; the merged layer needs it as it was.",
                wrong=lambda W, bias, A, B, alpha: [_merged(W, bias, A, B, alpha)[0], 0 * bias],
            ),
            Misconception(
                "transposed",
                "Something is transposed: B @ A is (d_out, d_in), the shape of W itself.",
                when=names_mistake("transposed"),
            ),
            Misconception(
                "factors-swapped",
                "A @ B is (r, r), or does not exist. ΔW is B @ A: (d_out, r) times (r, d_in).",
                when=names_mistake("factors-swapped"),
            ),
            Misconception(
                "delta-only",
                "That is ΔW alone; the merged weight is W + ΔW.",
                wrong=lambda _W, bias, A, B, alpha: [alpha / len(A) * (B @ A), bias],
            ),
            Misconception(
                "weight-only",
                "Return both, the weight and the bias: a pair.",
                wrong=lambda W, bias, A, B, alpha: _merged(W, bias, A, B, alpha)[0],
            ),
            Misconception(
                "not-a-pair",
                "Return exactly two tensors, the weight and the bias: return weight, bias.",
                when=lambda results: any(
                    isinstance(result, list)
                    and (len(result) != 2 or not all(hasattr(part, "shape") for part in result))
                    for result in results
                ),
            ),
            Misconception(
                "other-values",
                "Weight or bias has other values than W + (alpha / r)·B·A and the layer's bias; "
                "check signs, factors and the order of the product.",
                when=lambda results: all(
                    len(result) == 2 and all(hasattr(part, "shape") for part in result)
                    for result in results
                ),
            ),
        ),
    ),
    praise="One plain layer: W + (alpha / r)·B·A, and the bias as it was.",
)
