"""A product with a 4-bit weight that keeps no copy of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import (
    SEED,
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    same,
)

from .product import ProbeMultiply, expected, keeps_a_copy


def _all(field: str, value: Any = True) -> Callable[[Any], bool]:
    return lambda results: all(result.get(field) == value for result in results)


def _multiply_cases(generator: random.Random) -> list[tuple[int, int, int, int, bool]]:
    shapes = ((3, 512, 768, True), (5, 640, 384, False))
    return [(generator.randint(0, 10_000), *shape) for shape in shapes]


def _each_product(test: Callable[[Any, Any], bool]) -> Callable[[Any], bool]:
    """Return a test that holds where `test(observed, expected)` does, in every case."""

    def holds(results: Any) -> bool:
        cases = _multiply_cases(random.Random(SEED))
        pairs = zip(results, cases, strict=True)
        return all(test(result, expected(*case)) for result, case in pairs)

    return holds


def _right(field: str) -> Callable[[Any], bool]:
    return _each_product(lambda observed, right: same(observed[field], right[field], 1e-3))


def _copy_kept(results: Any) -> bool:
    cases = _multiply_cases(random.Random(SEED))
    return any(keeps_a_copy(result, case) for result, case in zip(results, cases, strict=True))


MULTIPLY = Exercise(
    id="05.multiply-4bit",
    title="Multiply by a 4-bit weight, and keep no copy",
    objective="flow",
    task=(
        "`multiply_4bit(x, stored)` below computes `x @ W.T` for a 4-bit `stored` weight, with "
        "the right output. But between forward and backward it keeps the restored weight alive, "
        "and it asks for a gradient of the base. Rewrite it: x gets its gradient, the base gets "
        "none, and no restored copy survives the forward pass."
    ),
    answer="multiply_4bit",
    hints=(
        "An ordinary product remembers both factors for the backward pass. A "
        "torch.autograd.Function of your own remembers what you put into ctx, and nothing else.",
        "backward gets dL/dy and returns one gradient for each argument of forward: dL/dy @ W "
        "for x, None for the weight.",
        "Keep `stored` in ctx, which is small and lives anyway, and restore W from it again in "
        "backward.",
    ),
    check=FunctionCheck(
        cases=_multiply_cases,
        probe=ProbeMultiply(),
        seconds=20.0,
        properties=(
            Property(_all("shape"), "Return one tensor of shape (tokens, d_out)."),
            Property(_right("output"), "The output is not x @ W.T for the restored weight W."),
            Property(
                lambda results: _right("x")(results) and _right("packed")(results),
                "The call changes x or the stored weight; both should stay as they were.",
            ),
            Property(_all("reaches_x"), "No gradient reaches x, so no layer below could learn."),
            Property(
                _all("wants_base_gradient", False), "A gradient of the base weight is asked for."
            ),
            Property(
                _right("gradient"), "The gradient of x should be dL/dy @ W, without transpose."
            ),
            Property(
                lambda results: not _copy_kept(results),
                "A restored copy of the weight survives the forward pass.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gradient-in-base",
                "You expect a gradient in the 4-bit base. A code has no small step to take: the "
                "base stays frozen, and backward returns None for it.",
                when=lambda results: (
                    _all("shape")(results) and _all("wants_base_gradient")(results)
                ),
            ),
            Misconception(
                "no-gradient-for-x",
                "The product is cut off from x: no gradient would flow to the layers below, nor "
                "to their adapters. Only the *weight* has none.",
                when=lambda results: (
                    _right("output")(results) and _all("reaches_x", False)(results)
                ),
            ),
            Misconception(
                "copy-kept",
                "The output is right, but the de-quantized copy is kept for the backward pass, in "
                "every layer at once: that is the 16-bit model again. Keep the 4 bits and restore "
                "the weight a second time.",
                when=lambda results: _right("output")(results) and _copy_kept(results),
            ),
            Misconception(
                "codes-multiplied",
                "The output is not x @ W.T. Codes and packed bytes are no weights: de-quantize "
                "before you multiply.",
                when=lambda results: _all("shape")(results) and not _right("output")(results),
            ),
        ),
    ),
    praise="Restored twice, kept never: that is how a frozen 4-bit layer lets gradients through.",
)
