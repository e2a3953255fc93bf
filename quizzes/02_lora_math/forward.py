"""LoRA's forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

from .layers import layer_cases, names_mistake, probe_shapes


def drop(values: Any) -> Any:
    """Stand in for dropout: every third feature goes, the others grow by 1.5; always the same."""
    import torch

    keep = torch.arange(values.shape[-1]) % 3 != 0
    return values * keep * 1.5


def _forward(x: Any, W: Any, bias: Any, A: Any, B: Any, alpha: float) -> Any:
    return x @ W.T + bias + alpha / len(A) * (drop(x) @ A.T @ B.T)


def _rescaled(scaling: Callable[[float, int], float]) -> Callable[..., Any]:
    def wrong(x: Any, W: Any, bias: Any, A: Any, B: Any, alpha: float) -> Any:
        return x @ W.T + bias + scaling(alpha, len(A)) * (drop(x) @ A.T @ B.T)

    return wrong


# Mistakes that only run where every side is equal. Elsewhere the shapes do not fit, and PyTorch's
# message says neither which factor is meant nor why.
_FORWARD_SHAPES: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "factors-swapped": (
        lambda x, W, bias, A, B, alpha: x @ W.T + bias + alpha / len(A) * (drop(x) @ B.T @ A.T),
        lambda x, W, bias, A, B, alpha: x @ W.T + bias + alpha / len(A) * (drop(x) @ A @ B),
    ),
    "factors-not-transposed": (
        lambda x, W, bias, A, B, alpha: x @ W.T + bias + alpha / len(A) * (drop(x) @ B @ A),
    ),
    "weight-not-transposed": (
        lambda x, W, bias, A, B, alpha: x @ W + bias + alpha / len(A) * (drop(x) @ A.T @ B.T),
    ),
}


def _probe_forward(function: Any, *case: Any) -> Any:
    return probe_shapes(lambda *values: function(*values, drop), _FORWARD_SHAPES, *case)


_SWAPPED = (
    "The factors are the wrong way round: lora_A, (r, d_in), reads the input first, and lora_B, "
    "(d_out, r), turns its r numbers into d_out. ΔW is B·A."
)

FORWARD = Exercise(
    id="02.lora-forward",
    title="Write LoRA's forward pass",
    objective="layer",
    task=(
        "Write `lora_forward(x, W, bias, A, B, alpha, drop)`: what a linear layer with an adapter "
        "returns. Shapes: `x` (…, d_in), `W` (d_out, d_in), `bias` (d_out), `A` (r, d_in), `B` "
        "(d_out, r). `drop` is a function, the adapter's dropout; call it where LoRA does. Use "
        "tensor operations only."
    ),
    answer="lora_forward",
    hints=(
        "The frozen layer computes x @ W.T + bias from all of x.",
        "On the adapter's path come drop, A, B and the scaling, in this order.",
        "The rank is A.shape[0]; the scaling is alpha over it.",
    ),
    check=FunctionCheck(
        cases=layer_cases,
        probe=_probe_forward,
        reference=_forward,
        misconceptions=(
            Misconception(
                "alpha-is-scaling",
                "You scale by alpha itself. It is alpha / r; r is A.shape[0].",
                wrong=_rescaled(lambda alpha, _rank: alpha),
            ),
            Misconception(
                "no-scaling",
                "The update is not scaled: alpha / r is missing.",
                wrong=_rescaled(lambda _alpha, _rank: 1.0),
            ),
            Misconception(
                "upside-down",
                "Your scaling is r / alpha, upside down: a larger alpha must make the update "
                "stronger.",
                wrong=_rescaled(lambda alpha, rank: rank / alpha),
            ),
            Misconception(
                "rslora",
                "alpha / √r is rank-stabilized LoRA; here the plain alpha / r is asked for.",
                wrong=_rescaled(lambda alpha, rank: alpha / rank**0.5),
            ),
            Misconception("factors-swapped", _SWAPPED, when=names_mistake("factors-swapped")),
            Misconception(
                "factors-not-transposed",
                "For rows of x it is x @ A.T @ B.T: with x on the left, ΔW = B·A acts transposed.",
                when=names_mistake("factors-not-transposed"),
            ),
            Misconception(
                "weight-not-transposed",
                "W is (d_out, d_in), as nn.Linear keeps it, so the frozen part is x @ W.T.",
                when=names_mistake("weight-not-transposed"),
            ),
            Misconception(
                "dropout-on-update",
                "You apply drop to the adapter's output. LoRA applies it to the input: drop(x), "
                "before A.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    x @ W.T + bias + alpha / len(A) * drop(x @ A.T @ B.T)
                ),
            ),
            Misconception(
                "dropout-on-output",
                "You apply drop to the layer's output, which includes the frozen part. It acts on "
                "the adapter's input only.",
                wrong=lambda x, W, bias, A, B, alpha: drop(
                    x @ W.T + bias + alpha / len(A) * (x @ A.T @ B.T)
                ),
            ),
            Misconception(
                "dropout-on-base",
                "The frozen layer gets drop(x) too. It must get all of x; drop acts on the "
                "adapter's path only.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    drop(x) @ W.T + bias + alpha / len(A) * (drop(x) @ A.T @ B.T)
                ),
            ),
            Misconception(
                "no-dropout",
                "drop is never called: apply it to the adapter's input.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    x @ W.T + bias + alpha / len(A) * (x @ A.T @ B.T)
                ),
            ),
            Misconception(
                "bias-twice",
                "The bias is added twice: the adapter's path has none.",
                wrong=lambda x, W, bias, A, B, alpha: _forward(x, W, 2 * bias, A, B, alpha),
            ),
            Misconception(
                "no-bias",
                "The frozen layer's bias is missing.",
                wrong=lambda x, W, bias, A, B, alpha: _forward(x, W, 0 * bias, A, B, alpha),
            ),
            Misconception(
                "no-base",
                "That is the update alone; the frozen layer's own output is missing.",
                wrong=lambda x, _W, _bias, A, B, alpha: alpha / len(A) * (drop(x) @ A.T @ B.T),
            ),
            Misconception(
                "scales-the-base",
                "You scale the frozen layer's output as well; alpha / r belongs to B·A alone.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    alpha / len(A) * (x @ W.T + bias + drop(x) @ A.T @ B.T)
                ),
            ),
        ),
    ),
    decoys=(
        "    frozen = drop(x) @ W.T + bias",
        "    return frozen + alpha * (drop(x) @ A.T @ B.T)",
    ),
    praise="The frozen layer's output plus (alpha / r)·B·A·drop(x).",
)
