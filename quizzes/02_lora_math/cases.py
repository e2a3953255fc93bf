"""Cases of lesson 02's exercises."""

from __future__ import annotations

import functools
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build, torch_loaded

SIZE, COUNT, PREPARE, MERGE, FORWARD = (
    "02.adapter-size",
    "02.count-qkv",
    "02.prepare",
    "02.merge",
    "02.lora-forward",
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


def numpy_count(rank, layers, hidden, heads, kv_heads, fused):
    import numpy as np

    kv = np.int64(kv_heads) * (hidden // heads)
    outputs = np.array([hidden + 2 * kv] if fused else [hidden, kv, kv])
    return (rank * (hidden + outputs)).sum() * layers


def torch_count(rank, layers, hidden, heads, kv_heads, fused):
    import torch

    kv = kv_heads * (hidden // heads)
    matrices = [hidden + 2 * kv] if fused else [hidden, kv, kv]
    sizes = torch.tensor([[rank * hidden, rank * d_out] for d_out in matrices])
    return sizes.sum() * layers


def partial_count(times, rank, layers, hidden, heads, kv_heads, fused):
    return times * count_in_steps(rank, layers, hidden, heads, kv_heads, fused)


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


def in_place_forward(x, W, bias, A, B, alpha, drop):
    B *= alpha / B.shape[1]
    out = x.matmul(W.t())
    out += bias
    out += drop(x).matmul(A.t()).matmul(B.t())
    return out


def layered_forward(x, W, bias, A, B, alpha, drop):
    from torch import nn

    frozen = nn.Linear(W.shape[1], W.shape[0], dtype=W.dtype)
    frozen.weight, frozen.bias = nn.Parameter(W), nn.Parameter(bias)
    down = nn.Linear(A.shape[1], A.shape[0], bias=False, dtype=A.dtype)
    down.weight = nn.Parameter(A)
    return frozen(x) + alpha / down.out_features * nn.functional.linear(down(drop(x)), B)


def row_by_row(x, W, bias, A, B, alpha, drop):
    rows, dropped = x.reshape(-1, x.shape[-1]), drop(x).reshape(-1, x.shape[-1])
    made = x.new_empty(len(rows), len(W))
    for number, (row, kept) in enumerate(zip(rows, dropped, strict=True)):
        made[number] = W.mv(row) + bias + B.mv(A.mv(kept)) * (alpha / len(A))
    return made.view(*x.shape[:-1], len(W))


def returning(signature, expression):
    """Return the source of a function that returns `expression`; r is the rank, s is alpha / r."""
    return f"def {signature}:\n    r = A.shape[0]\n    s = alpha / r\n    return {expression}\n"


forward = functools.partial(returning, "lora_forward(x, W, bias, A, B, alpha, drop)")
merged = functools.partial(returning, "merge(W, bias, A, B, alpha)")


def merge_in_place(W, bias, A, B, alpha):
    W += B @ (A * alpha) / A.shape[0]
    return [W, bias]


def merge_term_by_term(W, bias, A, B, alpha):
    import torch

    total = W.clone()
    for row, column in zip(A, B.T, strict=True):
        total = total + alpha / len(A) * torch.outer(column, row)
    return total, bias.clone()


def merge_by_unit_vectors(W, bias, A, B, alpha):
    """Read the merged layer off what the unmerged one returns for zero and for unit vectors."""
    import torch

    def layer(x):
        return x @ W.T + bias + alpha / len(A) * (x @ A.T @ B.T)

    zero = layer(torch.zeros(W.shape[1], dtype=W.dtype))
    return (layer(torch.eye(W.shape[1], dtype=W.dtype)) - zero).T, zero


def prepared(a: str = "", b: str = "", freeze: str = "base.requires_grad_(False)", last: str = ""):
    """Return a `prepare` with one thing done differently from the solution."""

    def make() -> Any:
        source = (
            "import numpy as np\n"
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


class Prepare:
    """A callable class that makes its factors as modules do."""

    def __call__(self, base, rank):
        import torch

        for part in base.parameters():
            part.requires_grad = False
        adapter = torch.nn.ParameterDict({
            "A": torch.nn.Linear(base.in_features, rank, bias=False).weight,
            "B": torch.nn.Parameter(base.weight.new_zeros(base.out_features, rank)),
        })  # fmt: skip
        return adapter["A"], adapter["B"]


RANDOM_B = "nn.Parameter(torch.randn(d_out, rank) * 0.1)"
ZERO_A = "nn.Parameter(torch.zeros(rank, d_in))"
ONLY_WEIGHT = "base.weight.requires_grad = False"
EACH = "[p.requires_grad_(False) for p in base.parameters()]"
LEAVES = "torch.zeros(d_out, rank, requires_grad=True)"

CASES: list[Case] = [
    (SIZE, 1024 * 16 + 16 * 4096, "correct", "81,920"),
    (SIZE, 81920.0, "correct", "81,920"),
    (SIZE, 4096 * 1024, "incorrect", "the frozen matrix"),
    (SIZE, 16 * 4096 * 1024, "incorrect", "add up"),
    (SIZE, 16 * 4096, "incorrect", "one factor"),
    (SIZE, 16 * 1024, "incorrect", "one factor"),
    (SIZE, 2 * 16 * 4096, "incorrect", "not square"),
    (SIZE, 2 * 16 * 1024, "incorrect", "not square"),
    (SIZE, 4096 + 1024, "incorrect", "of the r directions"),
    (SIZE, 81921, "incorrect", "not the number"),
    (SIZE, "81920", "error", "should be a number"),
    (COUNT, count_in_steps, "correct", "as PEFT counts"),
    (COUNT, by_matrix(lambda rank, a, b: float(rank * a + rank * b)), "correct", "as PEFT counts"),
    (COUNT, numpy_count, "correct", "as PEFT counts"),
    (COUNT, torch_loaded(torch_count), "correct", "as PEFT counts"),
    (COUNT, functools.partial(partial_count, 1), "correct", "as PEFT counts"),
    (COUNT, lambda **named: 0, "error", "TypeError"),
    (COUNT, lambda rank, *rest: count_in_steps(rank, *rest) + 1, "incorrect", "expected"),
    (COUNT, lambda *case: round(count_in_steps(*case), -3), "incorrect", "expected"),
    (COUNT, lambda *case: 645120, "incorrect", "expected"),
    (COUNT, one_layer, "incorrect", "for one layer"),
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
    (FORWARD, functional_forward, "correct", "B·A·drop(x)"),
    (FORWARD, delta_forward, "correct", "B·A·drop(x)"),
    (FORWARD, forward("(x @ W.T + bias) + s * ((B @ (A @ drop(x).mT)).mT)"), "correct",
     "B·A·drop(x)"),
    (FORWARD, in_place_forward, "correct", "B·A·drop(x)"),
    (FORWARD, layered_forward, "correct", "B·A·drop(x)"),
    (FORWARD, row_by_row, "correct", "B·A·drop(x)"),
    (FORWARD, forward("(x @ W.T + bias + s * (drop(x) @ A.T @ B.T)).float()"), "correct", ""),
    (FORWARD, forward("(x @ W.T + bias + s * (drop(x) @ A.T @ B.T)).numpy()"), "correct", ""),
    (FORWARD, forward("(x @ W.T + bias + s * (drop(x) @ A.T @ B.T)).tolist()"), "correct", ""),
    (FORWARD, forward("x @ (W + s * B @ A).T + bias"), "incorrect", "never called"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A.T @ B.T).abs()"), "incorrect", "other"),
    (FORWARD, forward("(x @ W.T + bias + s * (drop(x) @ A.T @ B.T)).round()"), "incorrect",
     "other"),
    (FORWARD, forward("torch.relu(x @ W.T + bias + s * (drop(x) @ A.T @ B.T))"), "error",
     "NameError"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A.T @ B.T).mean(0)"), "incorrect", ""),
    (FORWARD, forward("(x @ W.T + bias + s * (drop(x) @ A.T @ B.T))[0]"), "incorrect", ""),
    (FORWARD, forward("x @ W.T + bias + alpha * (drop(x) @ A.T @ B.T)"), "incorrect",
     "by alpha itself"),
    (FORWARD, forward("x @ W.T + bias + drop(x) @ A.T @ B.T"), "incorrect", "not scaled"),
    (FORWARD, forward("x @ W.T + bias + r / alpha * (drop(x) @ A.T @ B.T)"), "incorrect",
     "upside down"),
    (FORWARD, forward("x @ W.T + bias + alpha / r**0.5 * (drop(x) @ A.T @ B.T)"), "incorrect",
     "rank-stabilized"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ B.T @ A.T)"), "incorrect",
     "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ A @ B)"), "incorrect", "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ (A @ B).T)"), "incorrect",
     "wrong way round"),
    (FORWARD, forward("x @ W.T + bias + s * (drop(x) @ (B @ A))"), "incorrect", "acts transposed"),
    (FORWARD, forward("x @ W + bias + s * (drop(x) @ A.T @ B.T)"), "incorrect", "x @ W.T"),
    (FORWARD, forward("x @ W.T + bias + s * drop(x @ A.T @ B.T)"), "incorrect",
     "to the adapter's output"),
    (FORWARD, forward("drop(x @ W.T + bias + s * (x @ A.T @ B.T))"), "incorrect",
     "which includes the frozen part"),
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
    (PREPARE, prepared(a="nn.init.orthogonal_(nn.Parameter(torch.empty(rank, d_in)))"), "correct",
     "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.rand(rank, d_in).mul(2).sub(1) / d_in**0.5)",
                       last="return [A, B]"), "correct", "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, d_in).sign() / d_in**0.5)"), "correct",
     "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.from_numpy(np.random.randn(rank, d_in) / 10))",
                       b="nn.Parameter(torch.zeros(d_out, rank, dtype=torch.float64))"),
     "correct", "from step 1"),
    (PREPARE, prepared(a="torch.normal(0, 0.1, (rank, d_in), requires_grad=True)"), "correct",
     "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, d_in).bfloat16() / d_in**0.5)"),
     "correct", "from step 1"),
    (PREPARE, Prepare(), "correct", "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.eye(rank, d_in))"), "incorrect", "same for every"),
    (PREPARE, prepared(a="nn.Parameter(torch.eye(rank, d_in) + 1e-3)"), "incorrect", "same for"),
    (PREPARE, prepared(a="nn.Parameter(torch.eye(rank, d_in) * torch.rand(1))"), "incorrect",
     "Most of A is zero"),
    (PREPARE, prepared(a="nn.Parameter(torch.eye(rank, d_in) * torch.randn(rank, d_in))"),
     "incorrect", "Most of A is zero"),
    (PREPARE, prepared(a="nn.Parameter(torch.arange(rank * d_in).view(rank, d_in) / 100)"),
     "incorrect", "same for every"),
    (PREPARE, prepared(a="nn.Parameter(torch.linspace(-1, 1, rank * d_in).view(rank, d_in))"),
     "incorrect", "same for every"),
    (PREPARE, prepared(a="nn.Parameter(torch.full((rank, d_in), 0.1))"), "incorrect", "rows of A"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(1, d_in).repeat(rank, 1))"), "incorrect",
     "rows of A"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, 1) * torch.randn(1, d_in))"),
     "incorrect", "multiples or sums"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, 1).repeat(1, d_in))"), "incorrect",
     "multiples or sums"),
    (PREPARE, prepared(a="nn.Parameter(torch.dropout(torch.randn(rank, d_in), 0.9, True))"),
     "incorrect", "zero"),
    (PREPARE, prepared(a="nn.Parameter(base.weight[:rank].detach())"), "incorrect", "piece of"),
    (PREPARE, prepared(a="nn.Parameter(base.weight[:rank].detach().clone())"), "incorrect",
     "piece of"),
    (PREPARE, prepared(a="nn.Parameter(torch.linalg.svd(base.weight)[2][:rank].clone())"),
     "incorrect", "same for every layer, or each time"),
    (PREPARE, prepared(a="nn.Parameter(torch.randint(0, 2, (rank, d_in)) * 2.0 - 1)"), "correct",
     "from step 1"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, d_in, dtype=torch.float64) / 6)"),
     "correct", "from step 1"),
    (PREPARE, prepared(freeze="base.requires_grad_(False); base.double()"), "correct",
     "from step 1"),
    (PREPARE, prepared(b="nn.Parameter(torch.zeros(1, 1).expand(d_out, rank))"), "incorrect",
     "one number for many"),
    (PREPARE, prepared(last="B.register_hook(lambda g: 0 * g); return A, B"), "incorrect",
     "gets no gradient"),
    (PREPARE, prepared(last="B.register_hook(lambda g: -g); return A, B"), "incorrect",
     "another than its own"),
    (PREPARE, prepared(last="base.forward = lambda x: 0 * x[:, :1]; return A, B"), "incorrect",
     "answers differently"),
    (PREPARE, prepared(freeze="base.requires_grad_(False); torch.manual_seed(0)"), "incorrect",
     "a seed set inside"),
    (PREPARE, prepared(freeze="base.requires_grad_(False); base.bias.zero_()"), "incorrect",
     "itself was changed"),
    (PREPARE, prepared(freeze="base.requires_grad_(False); base.bias = None"), "incorrect",
     "itself was changed"),
    (PREPARE, prepared(a="nn.Parameter(torch.empty(rank, d_in, device='meta'))"), "incorrect",
     "two matrices"),
    (PREPARE, prepared(last="return {'A': A, 'B': B}"), "incorrect", "two matrices"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(rank, d_in) * float('nan'))"), "incorrect",
     "A"),
    (PREPARE, prepared(last="A, B"), "incorrect", "returns nothing"),
    (PREPARE, prepared(last="return A"), "incorrect", "two matrices"),
    (PREPARE, prepared(a="nn.Parameter(torch.randn(d_in, rank))",
                       b="nn.Parameter(torch.zeros(rank, d_out))"), "incorrect", "some texts"),
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
    (MERGE, merged("(W + s * B @ A).numpy(), bias.numpy()"), "correct", "One plain layer"),
    (MERGE, merged("(W + s * B @ A).float(), bias.float()"), "correct", "One plain layer"),
    (MERGE, merged("__import__('torch').nn.Parameter(W.addmm(B, A, alpha=s)), bias"), "correct",
     "One plain layer"),
    (MERGE, merged("W.add_(B @ A, alpha=s), bias"), "correct", "One plain layer"),
    (MERGE, merge_by_unit_vectors, "correct", "One plain layer"),
    (MERGE, merged("W + s * (B @ A).abs(), bias"), "incorrect", "other values"),
    (MERGE, merged("bias, W + s * B @ A"), "incorrect", ""),
    (MERGE, merged("W + s * B @ A, bias, s"), "incorrect", "two tensors"),
    (MERGE, merged("W + s * B @ A, None"), "incorrect", "two tensors"),
    (MERGE, merged("{'weight': W + s * B @ A, 'bias': bias}"), "error", "a tuple of the values"),
    (MERGE, lambda W, bias, A, B, alpha: print(), "incorrect",
     "expected (tensor of shape (5, 7), tensor of shape (5,))."),
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
