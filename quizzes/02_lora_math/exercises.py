"""Lesson 02: count adapters, write LoRA's forward pass, start its factors, merge them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import (
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    same,
)

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

# --- counting -------------------------------------------------------------------------------------


def _count(
    rank: int,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    fused: bool,
    *,
    cost: Callable[[int, int, int], int] = lambda rank, d_in, d_out: rank * (d_in + d_out),
    grouped: bool = True,
    one_matrix: Callable[[int, int], list[int]] = lambda hidden, kv: [hidden + 2 * kv],
) -> int:
    """Return the count, or what a mistake makes of it."""
    kv = kv_heads * (hidden // heads) if grouped else hidden
    outputs = one_matrix(hidden, kv) if fused else [hidden, kv, kv]
    return layers * sum(cost(rank, hidden, d_out) for d_out in outputs)


def _count_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # Two that a student can follow by hand: SmolLM2-135M, and GPT-2 with its one c_attn.
    cases: list[tuple[Any, ...]] = [(8, 30, 576, 9, 3, False), (8, 12, 768, 12, 12, True)]
    for number in range(16):
        fused = number % 4 == 0
        groups = 1 if fused else generator.choice((1, 2, 4))
        kv_heads = generator.randint(1, 8)
        heads = kv_heads * groups
        hidden = heads * generator.choice((16, 32, 64, 128))
        rank, layers = generator.choice((2, 4, 8, 16)), generator.randint(2, 80)
        cases.append((rank, layers, hidden, heads, kv_heads, fused))
    return cases


_COUNT = Exercise(
    id="02.count-qkv",
    title="Count an adapter on query, key and value",
    objective="count",
    task=(
        "Write `count_qkv(rank, layers, hidden, heads, kv_heads, fused)`: how many parameters LoRA "
        "of this rank trains on the query, key and value projections of **all** layers. Query maps "
        "hidden → hidden. Key and value each map hidden → kv_heads × (hidden // heads): several "
        "query heads may share one key and one value head. Where `fused` is true, the three are "
        "one matrix (GPT-2's `c_attn`) with **one** adapter."
    ),
    answer="count_qkv",
    hints=(
        "One adapted matrix costs rank × (d_in + d_out).",
        "SmolLM2 has 9 query heads and 3 key/value heads of width 64: key maps 576 → 192.",
        "One fused matrix has one lora_A, which reads hidden once, and a lora_B as high as all "
        "three outputs together.",
    ),
    check=FunctionCheck(
        cases=_count_cases,
        reference=_count,
        relative_tolerance=1e-6,  # a count is exact; an fp32 sum of it is not quite
        misconceptions=(
            Misconception(
                "one-layer",
                "That is one layer's worth; every layer has its own adapters.",
                wrong=lambda rank, layers, *rest: _count(rank, 1, *rest),
            ),
            Misconception(
                "square-key-value",
                "You took key and value for hidden → hidden. With grouped-query attention they "
                "are narrower: kv_heads × (hidden // heads).",
                wrong=lambda *case: _count(*case, grouped=False),
            ),
            Misconception(
                "kv-heads-as-width",
                "kv_heads is a number of heads, not a width; each is hidden // heads wide.",
                wrong=lambda rank, layers, hidden, heads, kv_heads, fused: _count(
                    rank, layers, hidden, hidden, kv_heads, fused
                ),
            ),
            Misconception(
                "fused-as-three",
                "Right for separate matrices. A fused matrix has one adapter: its lora_A reads "
                "the input once, not three times.",
                wrong=lambda *case: _count(*case, one_matrix=lambda hidden, kv: [hidden, kv, kv]),
            ),
            Misconception(
                "fused-as-square",
                "Right for separate matrices. The fused one is not square: its output holds "
                "query, key and value one under the other.",
                wrong=lambda *case: _count(*case, one_matrix=lambda hidden, kv: [hidden]),
            ),
            Misconception(
                "full-matrices",
                "You count the frozen matrices (d_in × d_out); LoRA trains rank × (d_in + d_out).",
                wrong=lambda *case: _count(*case, cost=lambda rank, d_in, d_out: d_in * d_out),
            ),
            Misconception(
                "product-of-factors",
                "rank × d_in × d_out multiplies the sizes of the two factors; their parameters "
                "add up.",
                wrong=lambda *case: _count(
                    *case, cost=lambda rank, d_in, d_out: rank * d_in * d_out
                ),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B has rank × d_out more.",
                wrong=lambda *case: _count(*case, cost=lambda rank, d_in, d_out: rank * d_in),
            ),
        ),
    ),
    praise="Layers, grouped heads and the fused matrix: all counted as PEFT counts them.",
)

# --- the forward pass -----------------------------------------------------------------------------


def drop(values: Any) -> Any:
    """Stand in for dropout: every third feature goes, the others grow by 1.5; always the same."""
    import torch

    keep = torch.arange(values.shape[-1]) % 3 != 0
    return values * keep * 1.5


def _layer(generator: random.Random, d_in: int, d_out: int, rank: int, rows: tuple[int, ...]):
    """Return x, W, bias, A, B, alpha at random, with alpha/r, alpha and 1 all different."""
    import torch

    numbers = torch.Generator().manual_seed(generator.randint(0, 2**31))

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=numbers, dtype=torch.float64)

    alpha = generator.choice([value for value in (3, 6, 16, 24) if value != rank])
    x, weight, bias = draw(*rows, d_in), draw(d_out, d_in), draw(d_out)
    return x, weight, bias, draw(rank, d_in), draw(d_out, rank), alpha


def _forward_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases = [_layer(generator, 7, 5, 2, (4,)), _layer(generator, 4, 9, 3, (2, 3))]
    # One row alone, and a batch of batches.
    cases += [_layer(generator, 6, 8, 4, (1,)), _layer(generator, 5, 3, 2, (2, 1, 3))]
    for _ in range(6):
        d_in, d_out = generator.randint(6, 20), generator.randint(6, 20)
        cases.append(_layer(generator, d_in, d_out, generator.randint(2, 5), (3,)))
    return cases


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


def _probe_shapes(
    call: Callable[..., Any], mistakes: Mapping[str, tuple[Callable[..., Any], ...]], *case: Any
) -> Any:
    """Call the student's function; where shapes do not fit, name the mistake if it is known."""
    try:
        return call(*case)
    except RuntimeError as misfit:
        square = _layer(random.Random(0), 6, 6, 6, (6,))[-len(case) :]
        try:
            got = call(*square)
        except Exception:
            raise misfit from None
        for name, wrongs in mistakes.items():
            if any(same(got, wrong(*square)) for wrong in wrongs):
                return name
        raise


def _probe_forward(function: Any, *case: Any) -> Any:
    return _probe_shapes(lambda *values: function(*values, drop), _FORWARD_SHAPES, *case)


def _named(name: str) -> Callable[[Any], bool]:
    return lambda results: any(isinstance(result, str) and result == name for result in results)


_SWAPPED = (
    "The factors are the wrong way round: lora_A, (r, d_in), reads the input first, and lora_B, "
    "(d_out, r), turns its r numbers into d_out. ΔW is B·A."
)

_FORWARD = Exercise(
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
        "The frozen layer is x @ W.T + bias, and it sees all of x.",
        "The adapter's path: drop its input, then A, then B, then scale.",
        "The rank is A.shape[0]; the scaling is alpha over it.",
    ),
    check=FunctionCheck(
        cases=_forward_cases,
        probe=_probe_forward,
        reference=_forward,
        misconceptions=(
            Misconception(
                "alpha-is-scaling",
                "You scale by alpha itself. It is alpha / r; r is A.shape[0].",
                wrong=_rescaled(lambda alpha, rank: alpha),
            ),
            Misconception(
                "no-scaling",
                "The update is not scaled: alpha / r is missing.",
                wrong=_rescaled(lambda alpha, rank: 1.0),
            ),
            Misconception(
                "upside-down",
                "Your scaling is r / alpha, upside down: a larger alpha must make the update "
                "stronger.",
                wrong=_rescaled(lambda alpha, rank: rank / alpha),
            ),
            Misconception(
                "rslora",
                "alpha / √r is rank-stabilised LoRA; here the plain alpha / r is asked for.",
                wrong=_rescaled(lambda alpha, rank: alpha / rank**0.5),
            ),
            Misconception("factors-swapped", _SWAPPED, when=_named("factors-swapped")),
            Misconception(
                "factors-not-transposed",
                "For rows of x it is x @ A.T @ B.T: with x on the left, ΔW = B·A acts transposed.",
                when=_named("factors-not-transposed"),
            ),
            Misconception(
                "weight-not-transposed",
                "W is (d_out, d_in), as nn.Linear keeps it, so the frozen part is x @ W.T.",
                when=_named("weight-not-transposed"),
            ),
            Misconception(
                "dropout-on-update",
                "You drop the adapter's output. LoRA drops its input: drop(x), before A.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    x @ W.T + bias + alpha / len(A) * drop(x @ A.T @ B.T)
                ),
            ),
            Misconception(
                "dropout-on-output",
                "You drop the whole layer's output, the frozen part with it. Only the adapter's "
                "input is dropped.",
                wrong=lambda x, W, bias, A, B, alpha: drop(
                    x @ W.T + bias + alpha / len(A) * (x @ A.T @ B.T)
                ),
            ),
            Misconception(
                "dropout-on-base",
                "The frozen layer sees a dropped x too. It must get all of x; only the adapter's "
                "path is dropped.",
                wrong=lambda x, W, bias, A, B, alpha: (
                    drop(x) @ W.T + bias + alpha / len(A) * (drop(x) @ A.T @ B.T)
                ),
            ),
            Misconception(
                "no-dropout",
                "drop is never called: it belongs on the adapter's input.",
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
                wrong=lambda x, W, bias, A, B, alpha: alpha / len(A) * (drop(x) @ A.T @ B.T),
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
    praise="The frozen layer, plus alpha / r times B of A of the dropped input.",
)

# --- before the first step ------------------------------------------------------------------------


def _each(test: Callable[[Any], bool], wanted: bool = True) -> Callable[[Any], bool]:
    return lambda results: all(bool(test(result)) is wanted for result in results)


def _all(field: str, wanted: bool = True) -> Callable[[Any], bool]:
    return _each(lambda result: result[field], wanted)


def _prepare_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    return [
        (d_in, d_out, generator.choice((2, 4, 8)), generator.randint(0, 10_000))
        for d_in, d_out in ((48, 32), (24, 40), (33, 64))
    ]


_PREPARE = Exercise(
    id="02.prepare",
    title="Make a layer ready for its first step",
    objective="start",
    task=(
        "Write `prepare(base, rank)`. `base` is a `torch.nn.Linear`. Freeze it, all of it, and "
        "return `(A, B)`: two `torch.nn.Parameter` of shapes (rank, d_in) and (d_out, rank), "
        "started so that the layer with its adapter is exactly the base at step 0 **and** can "
        "learn from step 1, and with A random, as in the paper."
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
            Property(
                lambda results: not any("malformed" in result for result in results),
                "prepare should return two matrices, A and B, each a torch.nn.Parameter.",
            ),
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
                "optimiser cannot update: make it with torch.zeros or clone it.",
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
                "Those are (d_in, r) and (r, d_out), as some notes write them. PEFT and the paper "
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
                "The weight is frozen but the bias still trains. Freeze the whole layer.",
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
                "With both factors random B·A is not zero: the model is another one before the "
                "first step, a noisy version of the base.",
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
                "A factor is the result of a calculation with a parameter; an optimiser refuses "
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

# --- merging --------------------------------------------------------------------------------------


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
    return _probe_shapes(function, _MERGE_SHAPES, *case)


def _merge_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    return [case[1:] for case in _forward_cases(generator)]


def _merge_rescaled(scaling: Callable[[float, int], float]) -> Callable[..., Any]:
    return lambda W, bias, A, B, alpha: [W + scaling(alpha, len(A)) * (B @ A), bias]


_MERGE = Exercise(
    id="02.merge",
    title="Merge the adapter into the layer",
    objective="merge",
    task=(
        "Write `merge(W, bias, A, B, alpha)`: return `(weight, bias)` of the one plain linear "
        "layer that computes what `W`, `bias` and the adapter compute together (without dropout, "
        "which is off outside training). Shapes as before: `W` (d_out, d_in), `A` (r, d_in), "
        "`B` (d_out, r)."
    ),
    answer="merge",
    hints=(
        "Write both outputs as x times something, and collect what stands behind x.",
        "Check the shape: what you add to W must be (d_out, d_in).",
        "The adapter has no bias of its own; what becomes of the layer's?",
    ),
    check=FunctionCheck(
        cases=_merge_cases,
        probe=_probe_merge,
        reference=_merged,
        misconceptions=(
            Misconception(
                "no-scaling",
                "You add B·A without its scaling; the unmerged layer adds (alpha / r)·B·A.",
                wrong=_merge_rescaled(lambda alpha, rank: 1.0),
            ),
            Misconception(
                "alpha-is-scaling",
                "You scale by alpha itself. It is alpha / r; r is A.shape[0].",
                wrong=_merge_rescaled(lambda alpha, rank: alpha),
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
                when=_named("transposed"),
            ),
            Misconception(
                "factors-swapped",
                "A @ B is (r, r), or does not exist. ΔW is B @ A: (d_out, r) times (r, d_in).",
                when=_named("factors-swapped"),
            ),
            Misconception(
                "delta-only",
                "That is ΔW alone; the merged weight is W + ΔW.",
                wrong=lambda W, bias, A, B, alpha: [alpha / len(A) * (B @ A), bias],
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


EXERCISES = [_COUNT, _FORWARD, _PREPARE, _MERGE]
