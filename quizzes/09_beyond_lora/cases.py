"""Cases of lesson 09's exercises."""

from __future__ import annotations

from labs_lib.assessment.exercises.cases import Case, torch_loaded

EQUAL, PISSA, DORA, PLUS = (
    "09.equal-rank",
    "09.pissa-start",
    "09.dora-forward",
    "09.plus-groups",
)


# PiSSA ------------------------------------------------------------------------------------------


def by_diagonals(W, rank, scaling):
    import torch

    U, S, V = torch.svd(W)
    root = torch.diag(torch.sqrt(S[:rank] / scaling))
    A, B = root @ V[:, :rank].T, U[:, :rank] @ root
    return [W - scaling * B @ A, A, B]


def by_eigenvectors(W, rank, scaling):
    import torch

    values, vectors = torch.linalg.eigh(W.double() @ W.double().T)
    order = values.argsort(descending=True)[:rank]
    U = vectors[:, order]
    sizes = values[order].clamp(min=0).sqrt()
    Vh = (U.T @ W.double()) / sizes[:, None]
    half = (sizes / scaling) ** 0.5
    A, B = (half[:, None] * Vh).float(), (U * half).float()
    return W - scaling * B @ A, torch.nn.Parameter(A), torch.nn.Parameter(B)


def pissa(last: str, half: str = "(S[:rank] / scaling) ** 0.5", cut: str = ":rank") -> str:
    """Return the source of a start that ends with `last`."""
    return (
        "def pissa_start(W, rank, scaling):\n"
        "    import torch\n"
        "    U, S, Vh = torch.linalg.svd(W, full_matrices=False)\n"
        f"    half = {half}\n"
        f"    A, B = half[:, None] * Vh[{cut}], U[:, {cut}] * half\n"
        f"    {last}\n"
    )


ALL_THREE = "return W - scaling * B @ A, A, B"


# DoRA -------------------------------------------------------------------------------------------


def by_parts(x, W, bias, A, B, m, scaling):
    import torch

    length = torch.linalg.norm(W + scaling * B @ A, dim=1)
    straight = x @ W.T + scaling * ((x @ A.T) @ B.T)
    return bias + straight * (m / length)


def by_linear(x, W, bias, A, B, m, scaling):
    import torch.nn.functional as F

    direction = F.normalize(W + scaling * B.matmul(A), dim=1)
    return F.linear(x, direction * m.unsqueeze(-1), bias)


def dora(weight: str, last: str = "x @ weight.T + bias") -> str:
    """Return the source of a forward pass with this weight."""
    return (
        "def dora_forward(x, W, bias, A, B, m, scaling):\n"
        "    new = W + scaling * B @ A\n"
        f"    weight = {weight}\n"
        f"    return {last}\n"
    )


# LoRA+ ------------------------------------------------------------------------------------------


def one_group_each(model, learning_rate, ratio):
    groups = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = learning_rate * (ratio if ".lora_B." in name else 1)
            groups.append({"params": [parameter], "lr": rate})
    return tuple(groups)


def with_decay(model, learning_rate, ratio):
    raised = {"params": [], "lr": learning_rate * ratio, "weight_decay": 0.01}
    plain = {"params": [], "lr": learning_rate}
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            plain["params"].append(parameter)
        elif "lora_B" in name:
            raised["params"].append(parameter)
    return [raised, plain]


def groups(a: str, b: str, keep: str = "p.requires_grad") -> str:
    """Return the source of groups with these rates; `keep` says which parameters are taken."""
    return (
        "def plus_groups(model, learning_rate, ratio):\n"
        f"    named = [(n, p) for n, p in model.named_parameters() if {keep}]\n"
        "    a = [p for n, p in named if 'lora_B' not in n]\n"
        "    b = [p for n, p in named if 'lora_B' in n]\n"
        f"    return [{{'params': a, 'lr': {a}}}, {{'params': b, 'lr': {b}}}]\n"
    )


RATE, RAISED = "learning_rate", "ratio * learning_rate"

CASES: list[Case] = [
    (EQUAL, 42, "correct", "within one percent"),
    (EQUAL, 42.0, "correct", ""),
    (EQUAL, 2_442_240 // 57_600, "correct", ""),
    (EQUAL, 8, "incorrect", "less than a fifth"),
    (EQUAL, 35, "incorrect", "Three value heads"),
    (EQUAL, 2_442_240 / 1920, "incorrect", "there are 30"),
    (EQUAL, 2_442_240 / 57_600, "incorrect", "a whole number"),
    (EQUAL, 106, "incorrect", "You count one of them"),
    (EQUAL, 43, "incorrect", "does not come nearest"),
    (EQUAL, "42", "error", "should be a number"),
    (PISSA, torch_loaded(by_diagonals), "correct", "the same matrices"),
    (PISSA, torch_loaded(by_eigenvectors), "correct", ""),
    (PISSA, torch_loaded(pissa(ALL_THREE)), "correct", ""),
    (PISSA, torch_loaded(pissa("return W, A, B")), "incorrect", "again"),
    (PISSA, torch_loaded(pissa(ALL_THREE, "(S[-rank:] / scaling) ** 0.5", "-rank:")),
     "incorrect", "the weakest directions"),
    (PISSA, torch_loaded(pissa(ALL_THREE, "S[:rank] ** 0.5")), "incorrect", "divided by it"),
    (PISSA, torch_loaded(pissa("return W - B @ A, A, B", "S[:rank] ** 0.5")), "incorrect",
     "divided by it"),
    (PISSA, torch_loaded(pissa(ALL_THREE, "torch.ones(rank)")), "incorrect",
     "the singular values are missing"),
    (PISSA, torch_loaded(pissa(ALL_THREE, "S[:rank] / scaling")), "incorrect", "has its square"),
    (PISSA, torch_loaded(pissa("return W, A, 0 * B")), "incorrect", "plain LoRA's start"),
    (PISSA, torch_loaded(pissa("return W - scaling * B @ A, A.T, B.T")), "incorrect",
     "PEFT keeps A as"),
    (PISSA, torch_loaded(pissa("return W - scaling * B @ A, A * half[:, None], B / half")),
     "incorrect", "shared equally"),
    (PISSA, torch_loaded(pissa("return W - B @ A, A, B")), "incorrect", "start somewhere else"),
    (PISSA, torch_loaded(pissa("W -= scaling * B @ A\n    return W, A, B")), "incorrect",
     "W itself was changed"),
    (PISSA, torch_loaded(pissa("return A, B")), "incorrect", "three matrices"),
    (PISSA, torch_loaded(pissa("return W - scaling * C, A, B")), "error", "NameError"),
    (DORA, torch_loaded(by_parts), "correct", "use_dora=True"),
    (DORA, torch_loaded(by_linear), "correct", ""),
    (DORA, torch_loaded(dora("m[:, None] * new / W.norm(dim=1, keepdim=True)")), "incorrect",
     "lengths of W's rows"),
    (DORA, torch_loaded(dora("m[:, None] * new / new.norm(dim=0, keepdim=True)")), "incorrect",
     "dim=1"),
    (DORA, torch_loaded(dora("m[:, None] * new")), "incorrect", "never divided"),
    (DORA, torch_loaded(dora("new / new.norm(dim=1, keepdim=True)")), "incorrect", "m is missing"),
    (DORA, torch_loaded(dora(
        "W + scaling * m[:, None] * (B @ A) / (B @ A).norm(dim=1, keepdim=True)")), "incorrect",
     "normalizes the sum"),
    (DORA, torch_loaded(dora("m[:, None] * (B @ A) / (B @ A).norm(dim=1, keepdim=True)")),
     "incorrect", "W is missing"),
    (DORA, torch_loaded(dora(
        "m[:, None] * (W + B @ A) / (W + B @ A).norm(dim=1, keepdim=True)")), "incorrect",
     "not scaled"),
    (DORA, torch_loaded(dora("new", "(x @ new.T + bias) * m / new.norm(dim=1)")), "incorrect",
     "multiply the bias"),
    (DORA, torch_loaded(dora("m[:, None] * new / new.norm(dim=1, keepdim=True)", "x @ weight.T")),
     "incorrect", "bias is missing"),
    (DORA, torch_loaded(dora("new")), "incorrect", "plain LoRA"),
    (DORA, torch_loaded(dora("m[:, None] * new / new.norm()")), "incorrect", "other values"),
    (DORA, torch_loaded(dora("m * new / new.norm(dim=1)")), "error", "RuntimeError"),
    (PLUS, torch_loaded(one_group_each), "correct", "the same rate"),
    (PLUS, torch_loaded(with_decay), "correct", ""),
    (PLUS, torch_loaded(groups(RAISED, RATE)), "incorrect", "You raise the rate of A"),
    (PLUS, torch_loaded(groups(RAISED, RAISED)), "incorrect", "Both rates are raised"),
    (PLUS, torch_loaded(groups("learning_rate / ratio", RATE)), "incorrect", "You lower"),
    (PLUS, torch_loaded(groups(RATE, "ratio")), "incorrect", "no learning rate"),
    (PLUS, torch_loaded(groups(RATE, RATE)), "incorrect", "Both get the same rate"),
    (PLUS, torch_loaded(groups(RATE, RAISED, keep="True")), "incorrect", "the frozen base too"),
    (PLUS, torch_loaded(groups(RATE, RAISED, keep="'lora_B' in n")), "incorrect",
     "it would never move"),
    (PLUS, torch_loaded(groups(RATE, "learning_rate + ratio")), "incorrect",
     "create_loraplus_optimizer"),
    (PLUS, torch_loaded(groups(RATE, RAISED, keep="p.requires_grad_() is p")), "incorrect",
     "frozen"),
    (PLUS, torch_loaded("def plus_groups(model, learning_rate, ratio):\n    return {'lr': 1}\n"),
     "incorrect", "list of dictionaries"),
    (PLUS, torch_loaded(groups(RATE, "rates")), "error", "NameError"),
]  # fmt: skip
