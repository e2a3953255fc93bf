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
    starter="def count_qkv(rank, layers, hidden, heads, kv_heads, fused):\n    ...\n",
    solution=(
        "def count_qkv(rank, layers, hidden, heads, kv_heads, fused):\n"
        "    kv = kv_heads * (hidden // heads)\n"
        "    outputs = [hidden + 2 * kv] if fused else [hidden, kv, kv]\n"
        "    return layers * sum(rank * (hidden + d_out) for d_out in outputs)\n"
    ),
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
    starter="def lora_forward(x, W, bias, A, B, alpha, drop):\n    ...\n",
    solution=(
        "def lora_forward(x, W, bias, A, B, alpha, drop):\n"
        "    scaling = alpha / A.shape[0]\n"
        "    frozen = x @ W.T + bias\n"
        "    return frozen + scaling * (drop(x) @ A.T @ B.T)\n"
    ),
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


def _probe_prepare(prepare: Any, d_in: int, d_out: int, rank: int, seed: int) -> dict[str, Any]:
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
        return {"malformed": True}
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


def _gets_gradient(result: Any) -> bool:
    import torch

    wanted = (result["x"].double() @ result["A"].T).sum(dim=0).expand(result["B"].shape)
    got = result["gradient"]
    return got is not None and bool(torch.allclose(got, wanted, rtol=0.05, atol=0.05))


def _base_changed(result: Any) -> bool:
    return not same(result["base_after"], result["base_before"], 1e-7)


def _answers_otherwise(result: Any) -> bool:
    return not same(result["answer_after"], result["answer_before"], 1e-4)


def _zero(field: str) -> Callable[[Any], bool]:
    return lambda result: not bool(result[field].any())


def _rows_alike(result: Any) -> bool:
    A = result["A"]
    return len(A) > 1 and bool((A[0] == A).all())


def _repeats(result: Any) -> bool:
    """Return whether a row of A comes out the same, nearly everywhere, the second time."""
    drawn = result["A"] != 0
    alike = (result["A"] == result["A_again"]) & drawn
    # Of two values (signs, say) half come out the same by chance.
    return bool(((alike.sum(dim=1) > 0.9 * drawn.sum(dim=1)) & drawn.any(dim=1)).any())


def _sparse(result: Any) -> bool:
    return bool((result["A"] == 0).double().mean() > 0.5)


def _independent_rows(result: Any) -> bool:
    """Return whether the rows of A point in directions of their own, none nearly lost."""
    import torch

    sizes = torch.linalg.svdvals(result["A"])
    return bool(sizes.min() > 1e-3 * sizes.max())


def _usual_size(result: Any) -> bool:
    return 1e-3 < float(result["A"].std() * result["A"].shape[1] ** 0.5) < 20


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
    starter="def prepare(base, rank):\n    ...\n",
    solution=(
        "import math\n\nimport torch\n\n\n"
        "def prepare(base, rank):\n"
        "    base.requires_grad_(False)\n"
        "    A = torch.nn.Parameter(torch.empty(rank, base.in_features))\n"
        "    torch.nn.init.kaiming_uniform_(A, a=math.sqrt(5))\n"
        "    B = torch.nn.Parameter(torch.zeros(base.out_features, rank))\n"
        "    return A, B\n"
    ),
    hints=(
        "`base.requires_grad_(False)` freezes weight and bias.",
        "B·A must be zero, and the gradient of at least one factor must not be.",
        "torch.zeros gives one factor; torch.randn times a small number (1/√d_in, say) the other.",
    ),
    check=FunctionCheck(
        cases=_prepare_cases,
        probe=_probe_prepare,
        properties=(
            Property(
                lambda results: not any("malformed" in result for result in results),
                "prepare should return two matrices, A and B, each a torch.nn.Parameter.",
            ),
            Property(_all("right_shapes"), "A should be (rank, d_in) and B (d_out, rank)."),
            Property(_each(_base_changed, False), "The base's weight or bias itself was changed."),
            Property(_all("weight_trains", False), "The base's weight would be trained."),
            Property(_all("bias_trains", False), "The base's bias would be trained."),
            Property(_all("both_train"), "A and B must both be trainable: torch.nn.Parameter."),
            Property(_all("leaves"), "A and B must be parameters, not results of a calculation."),
            Property(_each(_zero("B")), "B·A must be zero at step 0, with B the factor that is."),
            Property(_each(_zero("A"), False), "A must be random."),
            Property(
                _all("shared", False), "A is a piece of the base's weight: draw it at random."
            ),
            Property(_each(_rows_alike, False), "All rows of A are the same."),
            Property(_each(_repeats, False), "A comes out the same each time: draw it at random."),
            Property(
                _each(_sparse, False),
                "Most of A is zero. Every entry should be random, so that each of its r rows "
                "reads the whole input.",
            ),
            Property(
                _each(_independent_rows),
                "The rows of A are multiples or sums of each other, so its r directions are "
                "fewer than r. Draw every entry at random.",
            ),
            Property(
                _each(_usual_size),
                "A's numbers are far too small or too large; about 1/√d_in is usual.",
            ),
            Property(
                _all("overlaps", False),
                "A factor keeps one number for many of its places (expand does that), which an "
                "optimiser cannot update: make it with torch.zeros or clone it.",
            ),
            Property(
                _each(_answers_otherwise, False),
                "The layer itself answers differently now: freeze it, and leave all else as it is.",
            ),
            Property(
                _each(_gets_gradient),
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
                when=lambda results: _each(_zero("A"))(results) and _each(_zero("B"))(results),
            ),
            Misconception(
                "zero-the-other-factor",
                "A zero and B random starts at the base too, and can learn. The paper and PEFT "
                "do it the other way round: A random, B zero.",
                when=lambda results: (
                    _each(_zero("A"))(results) and _each(_zero("B"), False)(results)
                ),
            ),
            Misconception(
                "both-random",
                "With both factors random B·A is not zero: the model is another one before the "
                "first step, a noisy version of the base.",
                when=_each(_zero("B"), False),
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
                when=_each(_rows_alike),
            ),
            Misconception(
                "same-each-time",
                "A is the same for every layer, or each time: a fixed matrix, such as torch.eye, a "
                "piece of the base's weight, or a seed set inside prepare. It should be drawn at "
                "random, anew each time.",
                when=_each(_repeats),
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
    starter="def merge(W, bias, A, B, alpha):\n    ...\n",
    solution=(
        "def merge(W, bias, A, B, alpha):\n"
        "    delta = alpha / A.shape[0] * (B @ A)\n"
        "    return W + delta, bias\n"
    ),
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
