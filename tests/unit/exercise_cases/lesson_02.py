"""Cases of lesson 02's exercises."""

from __future__ import annotations

from typing import Any

from exercise_cases.base import Case, build

COUNT, FORWARD, PREPARE, MERGE = (
    "02.count-qkv",
    "02.lora-forward",
    "02.prepare",
    "02.merge",
)


def count_in_steps(rank, layers, hidden, heads, kv_heads, fused):
    width = hidden // heads
    total = 0
    for _ in range(layers):
        if fused:
            total += rank * hidden + rank * (hidden + 2 * kv_heads * width)
        else:
            total += 2 * rank * hidden
            for _ in ("key", "value"):
                total += rank * hidden + kv_heads * width * rank
    return total


def by_matrix(cost):
    """Return a count whose cost of one matrix is `cost(rank, d_in, d_out)`."""

    def function(rank, layers, hidden, heads, kv_heads, fused):
        kv = kv_heads * (hidden // heads)
        outputs = [hidden + 2 * kv] if fused else [hidden, kv, kv]
        return layers * sum(cost(rank, hidden, d_out) for d_out in outputs)

    return function


def one_layer(rank, layers, hidden, heads, kv_heads, fused):
    return count_in_steps(rank, 1, hidden, heads, kv_heads, fused)


def all_square(rank, layers, hidden, heads, kv_heads, fused):
    return layers * rank * (4 * hidden if fused else 6 * hidden)


def heads_as_width(rank, layers, hidden, heads, kv_heads, fused):
    return count_in_steps(rank, layers, hidden, hidden, kv_heads, fused)


def never_fused(rank, layers, hidden, heads, kv_heads, fused):
    return count_in_steps(rank, layers, hidden, heads, kv_heads, False)


def fused_square(rank, layers, hidden, heads, kv_heads, fused):
    if fused:
        return layers * rank * 2 * hidden
    return count_in_steps(rank, layers, hidden, heads, kv_heads, False)


def functional_forward(x, W, bias, A, B, alpha, drop):
    import torch.nn.functional as F

    update = F.linear(F.linear(drop(x), A), B)
    return F.linear(x, W, bias) + update * alpha / len(A)


def delta_forward(x, W, bias, A, B, alpha, drop):
    import torch

    delta = (alpha / A.size(0)) * torch.matmul(B, A)
    return torch.einsum("...i,oi->...o", x, W) + drop(x) @ delta.T + bias


def forward(expression):
    """Return the source of a forward pass that returns `expression`; s is alpha / r."""
    return (
        "def lora_forward(x, W, bias, A, B, alpha, drop):\n"
        "    r = A.shape[0]\n"
        "    s = alpha / r\n"
        f"    return {expression}\n"
    )


def merged(expression):
    """Return the source of a merge that returns `expression`; s is alpha / r."""
    return (
        "def merge(W, bias, A, B, alpha):\n"
        "    r = A.shape[0]\n"
        "    s = alpha / r\n"
        f"    return {expression}\n"
    )


def merge_in_place(W, bias, A, B, alpha):
    W += B @ (A * alpha) / A.shape[0]
    return [W, bias]


def merge_term_by_term(W, bias, A, B, alpha):
    import torch

    total = W.clone()
    for row, column in zip(A, B.T, strict=True):
        total = total + alpha / len(A) * torch.outer(column, row)
    return total, bias.clone()


def prepared(a: str = "", b: str = "", freeze: str = "base.requires_grad_(False)", last: str = ""):
    """Return a `prepare` with one thing done differently from the solution."""

    def make() -> Any:
        source = (
            "import torch\n"
            "from torch import nn\n"
            "def prepare(base, rank):\n"
            "    d_out, d_in = base.weight.shape\n"
            f"    {freeze or 'pass'}\n"
            f"    A = {a or 'nn.Parameter(torch.randn(rank, d_in) / d_in**0.5)'}\n"
            f"    B = {b or 'nn.Parameter(torch.zeros(d_out, rank))'}\n"
            f"    {last or 'return A, B'}\n"
        )
        names: dict[str, Any] = {}
        exec(compile(source, "<prepare>", "exec"), names)
        return names["prepare"]

    return build(make)


RANDOM_B = "nn.Parameter(torch.randn(d_out, rank) * 0.1)"
ZERO_A = "nn.Parameter(torch.zeros(rank, d_in))"
ONLY_WEIGHT = "base.weight.requires_grad = False"
EACH = "[p.requires_grad_(False) for p in base.parameters()]"
LEAVES = "torch.zeros(d_out, rank, requires_grad=True)"

CASES: list[Case] = [
    (COUNT, count_in_steps, "correct", "as PEFT counts"),
    (COUNT, by_matrix(lambda rank, a, b: float(rank * a + rank * b)), "correct", "as PEFT counts"),
    (COUNT, one_layer, "incorrect", "one layer's worth"),
    (COUNT, all_square, "incorrect", "grouped-query"),
    (COUNT, heads_as_width, "incorrect", "not a width"),
    (COUNT, never_fused, "incorrect", "one adapter: its lora_A"),
    (COUNT, fused_square, "incorrect", "not square"),
    (COUNT, by_matrix(lambda rank, a, b: a * b), "incorrect", "frozen matrices"),
    (COUNT, by_matrix(lambda rank, a, b: rank * a * b), "incorrect", "add up"),
    (COUNT, by_matrix(lambda rank, a, b: rank * a), "incorrect", "lora_A only"),
    (COUNT, by_matrix(lambda rank, a, b: rank * b), "incorrect", "expected 645120"),
    (COUNT, lambda rank, *rest: None if rank else 0, "incorrect", "returned None"),
    (COUNT, lambda rank, layers: rank, "error", "TypeError"),
    (FORWARD, functional_forward, "correct", "of the dropped input"),
    (FORWARD, delta_forward, "correct", "of the dropped input"),
    (FORWARD, forward("(x @ W.T + bias) + s * ((B @ (A @ drop(x).mT)).mT)"), "correct", "dropped"),
    (FORWARD, forward("x @ W.T + bias + alpha * (drop(x) @ A.T @ B.T)"), "incorrect",
     "by alpha itself"),
    (FORWARD, forward("x @ W.T + bias + drop(x) @ A.T @ B.T"), "incorrect", "not scaled"),
    (FORWARD, forward("x @ W.T + bias + r / alpha * (drop(x) @ A.T @ B.T)"), "incorrect",
     "upside down"),
    (FORWARD, forward("x @ W.T + bias + alpha / r**0.5 * (drop(x) @ A.T @ B.T)"), "incorrect",
     "rank-stabilised"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ B.T @ A.T)"), "incorrect",
     "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A @ B)"), "incorrect", "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ (A @ B).T)"), "incorrect",
     "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ (B @ A))"), "incorrect", "acts transposed"),
    (FORWARD, forward("x @ W + bias + s * (drop(x) @ A.T @ B.T)"), "incorrect", "x @ W.T"),
    (FORWARD, forward("x @ W.T + bias + s * drop(x @ A.T @ B.T)"), "incorrect",
     "drop the adapter's output"),
    (FORWARD, forward("drop(x @ W.T + bias + s * (x @ A.T @ B.T))"), "incorrect",
     "whole layer's output"),
    (FORWARD, forward("drop(x) @ W.T + bias + s * (drop(x) @ A.T @ B.T)"), "incorrect",
     "must get all of x"),
    (FORWARD, forward("x @ W.T + bias + s * (x @ A.T @ B.T)"), "incorrect", "never called"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A.T @ B.T) + bias"), "incorrect",
     "added twice"),
    (FORWARD, forward("x @ W.T + s * (drop(x) @ A.T @ B.T)"), "incorrect", "bias is missing"),
    (FORWARD, forward("s * (drop(x) @ A.T @ B.T)"), "incorrect", "update alone"),
    (FORWARD, forward("s * (x @ W.T + bias + drop(x) @ A.T @ B.T)"), "incorrect",
     "belongs to B·A alone"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A.T @ B.T) + 1"), "incorrect",
     "other values"),
    (FORWARD, forward("x @ A @ A"), "error", "RuntimeError in line 4"),
    (FORWARD, forward("undefined"), "error", "NameError in line 4"),
    (PREPARE, prepared(), "correct", "gradient from step 1"),
    (PREPARE, prepared(b=LEAVES, freeze=EACH), "correct", "gradient from step 1"),
    (PREPARE, prepared(a="nn.Linear(d_in, rank, bias=False).weight"), "correct", "from step 1"),
    (PREPARE, prepared(last="A, B"), "incorrect", "returns nothing"),
    (PREPARE, prepared(last="return A"), "incorrect", "two matrices"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(d_in, rank))",
                       b="nn.Parameter(torch.zeros(rank, d_out))"), "incorrect", "some notes"),
    (PREPARE, prepared(last="return B, A"), "incorrect", "return B first"),
    (PREPARE, prepared(freeze=""), "incorrect", "base is not frozen"),
    (PREPARE, prepared(freeze=ONLY_WEIGHT), "incorrect", "the bias still trains"),
    (PREPARE, prepared(a=ZERO_A), "incorrect", "nothing ever moves"),
    (PREPARE, prepared(a=ZERO_A, b=RANDOM_B), "incorrect", "the other way round"),
    (PREPARE, prepared(b=RANDOM_B), "incorrect", "noisy version of the base"),
    (PREPARE, prepared(a="torch.randn(rank, d_in)", b="torch.zeros(d_out, rank)"), "incorrect",
     "plain tensors"),
    (PREPARE, prepared(a="torch.randn(rank, d_in, requires_grad=True) * 0.1"), "incorrect",
     "result of a calculation"),
    (PREPARE, prepared(a="nn.Parameter(torch.ones(rank, d_in))"), "incorrect", "rows of A"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, d_in) * 100)"), "incorrect", "too large"),
    (PREPARE, prepared(freeze="base.requires_grad_(False); base.weight.zero_()"), "incorrect",
     "itself was changed"),
    (PREPARE, lambda base, rank: (rank, base.in_feature), "error", "AttributeError"),
    (MERGE, merge_in_place, "correct", "One plain layer"),
    (MERGE, merge_term_by_term, "correct", "One plain layer"),
    (MERGE, merged("W + (A.T @ B.T).T * s, bias"), "correct", "One plain layer"),
    (MERGE, merged("W + B @ A, bias"), "incorrect", "without its scaling"),
    (MERGE, merged("W + alpha * B @ A, bias"), "incorrect", "by alpha itself"),
    (MERGE, merged("W + r / alpha * B @ A, bias"), "incorrect", "upside down"),
    (MERGE, merged("W + s * B @ A, bias + bias"), "incorrect", "comes out doubled"),
    (MERGE, merged("W + s * B @ A, s * bias"), "incorrect", "belongs to B·A alone"),
    (MERGE, merged("W + s * B @ A, 0 * bias"), "incorrect", "bias is gone"),
    (MERGE, merged("W + s * A.T @ B.T, bias"), "incorrect", "transposed"),
    (MERGE, merged("W.T + s * B @ A, bias"), "incorrect", "transposed"),
    (MERGE, merged("W + s * A @ B, bias"), "incorrect", "(r, r)"),
    (MERGE, merged("s * B @ A, bias"), "incorrect", "ΔW alone"),
    (MERGE, merged("W + s * B @ A"), "incorrect", "a pair"),
    (MERGE, merged("W - s * B @ A, bias"), "incorrect", "check signs"),
]  # fmt: skip
