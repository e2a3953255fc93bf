"""A layer and its adapter before the first step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception, Property
from labs_lib.assessment.exercises.observed import well_formed

from .adapter_start import (
    answers_otherwise,
    base_changed,
    gets_gradient,
    has_independent_rows,
    has_usual_size,
    is_sparse,
    is_zero,
    probe_prepare,
    repeats,
    rows_alike,
)


def _each(test: Callable[[Any], bool], expected: bool = True) -> Callable[[Any], bool]:
    return lambda results: all(bool(test(result)) is expected for result in results)


def _all(field: str, expected: bool = True) -> Callable[[Any], bool]:
    return _each(lambda result: result[field], expected)


def _prepare_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    return [
        (d_in, d_out, generator.choice((2, 4, 8)), generator.randint(0, 10_000))
        for d_in, d_out in ((48, 32), (24, 40), (33, 64))
    ]


PREPARE = Exercise(
    id="02.prepare",
    title="Make a layer ready for its first step",
    objective="start",
    task=(
        "Write `prepare(base, rank)`. `base` is a `torch.nn.Linear`. Freeze its weight and its "
        "bias, and return `(A, B)`: two `torch.nn.Parameter` of shapes (rank, d_in) and "
        "(d_out, rank). Start them as the paper does: before the first step the layer with its "
        "adapter computes what the base computes, and in the first step it can learn."
    ),
    answer="prepare",
    hints=(
        "`base.requires_grad_(False)` freezes weight and bias.",
        "B·A must be zero, and the gradient of at least one factor must not be.",
        "torch.zeros gives one factor; torch.randn times a small number (1/√d_in, say) the other.",
    ),
    check=FunctionCheck(
        cases=_prepare_cases,
        probe=probe_prepare,
        properties=(
            well_formed("prepare should return two matrices, A and B, each a torch.nn.Parameter."),
            Property(_all("right_shapes"), "A should be (rank, d_in) and B (d_out, rank)."),
            Property(_each(base_changed, False), "The base's weight or bias itself was changed."),
            Property(_all("weight_trains", False), "The base's weight would be trained."),
            Property(_all("bias_trains", False), "The base's bias would be trained."),
            Property(_all("both_train"), "A and B must both be trainable: torch.nn.Parameter."),
            Property(_all("leaves"), "A and B must be parameters, not results of a calculation."),
            Property(_each(is_zero("B")), "B·A must be zero at step 0, with B the factor that is."),
            Property(_each(is_zero("A"), False), "A must be random."),
            Property(
                _all("shared", False), "A is a piece of the base's weight: draw it at random."
            ),
            Property(_each(rows_alike, False), "All rows of A are the same."),
            Property(_each(repeats, False), "A comes out the same each time: draw it at random."),
            Property(
                _each(is_sparse, False),
                "Most of A is zero. Every entry should be random, so that each of its r rows "
                "reads the whole input.",
            ),
            Property(
                _each(has_independent_rows),
                "The rows of A are multiples or sums of each other, so its r directions are "
                "fewer than r. Draw every entry at random.",
            ),
            Property(
                _each(has_usual_size),
                "A's numbers are far too small or too large; about 1/√d_in is usual.",
            ),
            Property(
                _all("overlaps", False),
                "A factor keeps one number for many of its places (expand does that), which an "
                "optimizer cannot update: make it with torch.zeros or clone it.",
            ),
            Property(
                _each(answers_otherwise, False),
                "The layer itself answers differently now: freeze it, and leave all else as it is.",
            ),
            Property(
                _each(gets_gradient),
                "B gets no gradient, or another than its own: does a hook change it?",
            ),
        ),
        misconceptions=(
            Misconception(
                "no-return",
                "prepare returns nothing; does it end with return A, B?",
                when=_all("blank"),
            ),
            Misconception(
                "shapes-transposed",
                "Those are (d_in, r) and (r, d_out), as some texts write them. PEFT and the paper "
                "keep A as (r, d_in) and B as (d_out, r).",
                when=_all("swapped_shapes"),
            ),
            Misconception(
                "order-swapped",
                "You return B first. A is the one that reads the input, (rank, d_in).",
                when=_all("order_swapped"),
            ),
            Misconception(
                "base-not-frozen",
                "The base is not frozen: its weight still asks for gradients, so this would be "
                "full fine-tuning with an adapter on top.",
                when=_all("weight_trains"),
            ),
            Misconception(
                "bias-not-frozen",
                "The weight is frozen but the bias still trains. Freeze both.",
                when=_all("bias_trains"),
            ),
            Misconception(
                "both-zero",
                "With both factors zero nothing ever moves: the gradient of A is a product with "
                "B, that of B a product with A.",
                when=lambda results: _each(is_zero("A"))(results) and _each(is_zero("B"))(results),
            ),
            Misconception(
                "zero-the-other-factor",
                "A zero and B random starts at the base too, and can learn. The paper and PEFT "
                "do it the other way round: A random, B zero.",
                when=lambda results: (
                    _each(is_zero("A"))(results) and _each(is_zero("B"), False)(results)
                ),
            ),
            Misconception(
                "both-random",
                "With both factors random, B·A is not zero: before the first step the model is "
                "already a noisy version of the base.",
                when=_each(is_zero("B"), False),
            ),
            Misconception(
                "factors-do-not-train",
                "A and B are plain tensors, so no gradient reaches them; wrap both in "
                "torch.nn.Parameter.",
                when=_all("both_train", False),
            ),
            Misconception(
                "not-a-leaf",
                "A factor is the result of a calculation with a parameter; an optimizer refuses "
                "such a tensor. Finish the calculation, then wrap it in torch.nn.Parameter.",
                when=_all("leaves", False),
            ),
            Misconception(
                "rows-alike",
                "All rows of A are the same, so its r directions are one direction, and stay one. "
                "Draw A at random.",
                when=_each(rows_alike),
            ),
            Misconception(
                "same-each-time",
                "A is the same for every layer, or each time: a fixed matrix, such as torch.eye, a "
                "piece of the base's weight, or a seed set inside prepare. It should be drawn at "
                "random, anew each time.",
                when=_each(repeats),
            ),
        ),
    ),
    praise="The base is frozen and unchanged at step 0, and B has a gradient from step 1.",
)
