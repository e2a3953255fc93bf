"""DoRA's forward pass: a length for each output, a direction from W + BA (arXiv 2402.09353)."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

from .random_maps import SHAPES, drawing, peft_layer


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases = []
    for (d_in, d_out, rank), rows in zip(SHAPES, ((4,), (2, 3), (1,), (5,)), strict=True):
        draw = drawing(generator)
        # Trained magnitudes are no longer the lengths of W's rows.
        magnitude = draw(d_out).abs() + 0.5
        factors = draw(rank, d_in), draw(d_out, rank)
        scaling = generator.choice((0.5, 2.0, 4.0))
        cases.append(
            (draw(*rows, d_in), draw(d_out, d_in), draw(d_out), *factors, magnitude, scaling)
        )
    return cases


def _reference(x: Any, W: Any, bias: Any, A: Any, B: Any, m: Any, scaling: float) -> Any:
    """Return what PEFT's layer with `use_dora=True` returns."""
    layer = peft_layer(W, bias, len(A), scaling, use_dora=True)
    layer.lora_A["default"].weight.data = A.clone()
    layer.lora_B["default"].weight.data = B.clone()
    layer.lora_magnitude_vector["default"].weight.data = m.clone()
    return layer(x).detach()


def _lengths(weight: Any) -> Any:
    return weight.norm(dim=1, keepdim=True)


DORA_FORWARD = Exercise(
    id="09.dora-forward",
    title="DoRA's forward pass",
    objective="write",
    task=(
        "Write `dora_forward(x, W, bias, A, B, m, scaling)`. DoRA's weight is `W + scaling·B·A` "
        "with every row divided by its length and multiplied by a trained magnitude, `m` (d_out). "
        "Return what the layer computes for `x` (…, d_in). Shapes: `W` (d_out, d_in), `A` "
        "(r, d_in), `B` (d_out, r)."
    ),
    answer="dora_forward",
    hints=(
        "Build the updated weight first: W + scaling * (B @ A).",
        "A row belongs to one output. updated.norm(dim=1, keepdim=True) gives its length.",
        "The bias has no magnitude: it is added last, as it is.",
    ),
    check=FunctionCheck(
        cases=_cases,
        reference=_reference,
        relative_tolerance=1e-3,
        misconceptions=(
            Misconception(
                "length-of-base",
                "You divide by the lengths of W's rows. They are those of W + scaling·B·A, so that "
                "m alone sets the length.",
                wrong=lambda x, W, bias, A, B, m, s: (
                    x @ (m[:, None] * (W + s * B @ A) / _lengths(W)).T + bias
                ),
            ),
            Misconception(
                "length-of-columns",
                "You take the lengths of the columns, dim=0, one for each input. In PEFT m has "
                "one number for each output, so it is dim=1.",
                wrong=lambda x, W, bias, A, B, m, s: (
                    x @ (m[:, None] * (W + s * B @ A) / (W + s * B @ A).norm(dim=0, keepdim=True)).T
                    + bias
                ),
            ),
            Misconception(
                "never-normalized",
                "The rows are multiplied by m but never divided by their length.",
                wrong=lambda x, W, bias, A, B, m, s: x @ (m[:, None] * (W + s * B @ A)).T + bias,
            ),
            Misconception(
                "magnitude-missing",
                "The rows have length 1: m is missing.",
                wrong=lambda x, W, bias, A, B, _m, s: (
                    x @ ((W + s * B @ A) / _lengths(W + s * B @ A)).T + bias
                ),
            ),
            Misconception(
                "only-update-normalized",
                "You normalize B·A alone and add it to W. DoRA normalizes the sum.",
                wrong=lambda x, W, bias, A, B, m, s: (
                    x @ (W + s * m[:, None] * (B @ A) / _lengths(B @ A)).T + bias
                ),
            ),
            Misconception(
                "base-missing",
                "The direction comes from W + scaling·B·A, and W is missing.",
                wrong=lambda x, _W, bias, A, B, m, _s: (
                    x @ (m[:, None] * (B @ A) / _lengths(B @ A)).T + bias
                ),
            ),
            Misconception(
                "no-scaling",
                "The update is not scaled.",
                wrong=lambda x, W, bias, A, B, m, _s: _by_formula(x, W, bias, A, B, m, 1.0),
            ),
            Misconception(
                "magnitude-on-bias",
                "You multiply the bias by the magnitude too. It stays as it is.",
                wrong=lambda x, W, bias, A, B, m, s: _by_formula(
                    x, W, bias * m / _lengths(W + s * B @ A)[:, 0], A, B, m, s
                ),
            ),
            Misconception(
                "no-bias",
                "The layer's bias is missing.",
                wrong=lambda x, W, bias, A, B, m, s: _by_formula(x, W, 0 * bias, A, B, m, s),
            ),
            Misconception(
                "plain-lora",
                "That is plain LoRA: neither the length nor the magnitude takes part.",
                wrong=lambda x, W, bias, A, B, _m, s: x @ (W + s * B @ A).T + bias,
            ),
        ),
    ),
    decoys=(
        "    length = W.norm(dim=1, keepdim=True)",
        "    return m * (x @ weight.T + bias)",
    ),
    praise="PEFT's layer with use_dora=True returns the same.",
)


def _by_formula(x: Any, W: Any, bias: Any, A: Any, B: Any, m: Any, scaling: float) -> Any:
    updated = W + scaling * (B @ A)
    return x @ (m[:, None] * updated / _lengths(updated)).T + bias
