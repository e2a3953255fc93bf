"""Checks of what is said about rank, alpha and scaling, on PEFT's layers and recorded sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from labs_lib import lowrank
from labs_lib.ledger.finding import Finding
from labs_lib.models import config_of
from labs_lib.training import Spread, recorded

PUBLISHED = {  # rank, alpha
    "LoRA, GPT-2 (appendix D.3)": (4, 32),
    "LoRA's authors, script for RoBERTa base": (8, 16),
    "QLoRA, 7B to 65B (appendix B.2)": (64, 16),
    "LoRA Learns Less and Forgets Less, its advice": (256, 512),
}


def a_times_b() -> Finding:
    """Multiply the factors in the notes' shapes and in those of PEFT's layer."""
    layer = _peft_layer(rank=8, alpha=16, inputs=400, outputs=500)
    lora_a, lora_b = _factors(layer)
    return Finding(
        f"PEFT, 400 → 500, rank 8: lora_A {tuple(lora_a.shape)}, lora_B {tuple(lora_b.shape)}, "
        f"base {tuple(layer.base_layer.weight.shape)}",
        {
            "A 500 × 8, B 8 × 400 (the notes' letters)": _product((500, 8), (8, 400)) == (500, 400),
            "A and B as the paper and PEFT name them": (
                _product(lora_a.shape, lora_b.shape) == (500, 400)
            ),
        },
    )


def b_times_a_as_printed() -> Finding:
    """Multiply B · A in the printed shapes: A is d × r, B is r × d."""
    width, rank = 400, 8
    made = _product((rank, width), (width, rank))
    return Finding(
        f"d = {width}, r = {rank}: B (r × d) times A (d × r) has the shape {made}, "
        f"W has {(width, width)}",
        {"B · A has the shape of W": made == (width, width)},
    )


def the_inner_dimension_bounds_the_rank() -> Finding:
    """Compute the rank of BA in a PEFT layer with random factors."""
    import torch

    layer = _peft_layer(rank=8, alpha=16, inputs=400, outputs=500)
    lora_a, lora_b = _factors(layer)
    found = int(torch.linalg.matrix_rank(lora_b @ lora_a))
    return Finding(
        f"r = 8: BA is {lora_b.shape[0]} × {lora_a.shape[1]} and has rank {found}",
        {"BA has the shape of W, and rank r": found == 8},
    )


def the_adapter_is_in_parallel() -> Finding:
    """Compare PEFT's output with Wx + (alpha/r)·B(Ax) and with the factors in series."""
    import torch

    layer = _peft_layer(rank=8, alpha=16, inputs=64, outputs=64)
    lora_a, lora_b = _factors(layer)
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = layer(x)
        parallel = layer.base_layer(x) + 2 * (x @ lora_a.T @ lora_b.T)
        series = layer.base_layer(x) @ lora_a.T @ lora_b.T
    apart = (theirs - parallel).abs().max().item()
    return Finding(
        f"largest difference from Wx + (alpha/r)·B(Ax): {apart:.1e}",
        {
            "the adapter reads W's input": torch.allclose(theirs, parallel, atol=1e-5),
            "it doesn't read W's output": not torch.allclose(theirs, series, atol=1e-2),
        },
    )


def w_plus_ba_without_scaling() -> Finding:
    """Compare what PEFT adds to W when it merges with BA itself."""
    cases = {}
    for rank, alpha in ((8, 8), (8, 16), (8, 32)):
        layer = _peft_layer(rank=rank, alpha=alpha, inputs=64, outputs=64)
        lora_a, lora_b = _factors(layer)
        added = layer.get_delta_weight("default")
        factor = (added.norm() / (lora_b @ lora_a).norm()).item()
        cases[f"r = {rank}, alpha = {alpha}: PEFT adds {factor:g} · BA"] = math.isclose(
            factor, 1, rel_tol=1e-5
        )
    return Finding("; ".join(cases), cases)


def alpha_is_the_factor() -> Finding:
    """Read the factor that PEFT's layers apply for several alphas and ranks."""
    settings = ((4, 8), (8, 16), (8, 32), (64, 32))
    applied = {each: _peft_layer(*each).scaling["default"] for each in settings}
    return Finding(
        "; ".join(f"r={r}, lora_alpha={a}: × {factor:g}" for (r, a), factor in applied.items()),
        {f"r={r}: multiplied by {a}": factor == a for (r, a), factor in applied.items()},
    )


def rslora_divides_by_the_root() -> Finding:
    """Read the factor that PEFT's layer applies with `use_rslora=True`."""
    applied = {rank: _peft_layer(rank, 32, use_rslora=True).scaling["default"] for rank in (4, 64)}
    return Finding(
        "; ".join(f"r={rank}, lora_alpha=32: × {factor:g}" for rank, factor in applied.items()),
        {f"alpha/√r at r={r}": math.isclose(f, 32 / math.sqrt(r)) for r, f in applied.items()},
    )


def alpha_is_usually_twice_the_rank() -> Finding:
    """Compare published settings and PEFT's default with alpha = 2r."""
    from peft import LoraConfig

    default = LoraConfig()
    settings = {**PUBLISHED, "PEFT's LoraConfig()": (default.r, default.lora_alpha)}
    return Finding(
        "; ".join(f"{who}: r={r}, alpha={a}" for who, (r, a) in settings.items()),
        {f"{who} has alpha = 2r": alpha == 2 * rank for who, (rank, alpha) in settings.items()},
    )


def twice_the_rank_keeps_the_strength() -> Finding:
    """Compare ranks 8 and 64 at alpha = 2r: their scaling, and what they learned at two rates."""
    sweep = recorded("learning-rate")
    lines = sweep.lines("rank", "learning_rate")
    scalings = {rank: lowrank.scaling_of(rank, 2 * rank) for rank in lines}
    told, cases = [], {"alpha/r stays the same": len(set(scalings.values())) == 1}
    for rate in (1e-4, 1e-2):
        small, large = (lines[rank][rate] for rank in (8, 64))
        told.append(f"at {rate:g} rank 8 ends at {small.text()}, rank 64 at {large.text()}")
        cases[f"the ranks learn alike at rate {rate:g}"] = _alike(small, large)
    return Finding(
        f"held-out loss, {sweep.loss_before:.2f} before: {'; '.join(told)} ({sweep.provenance()})",
        cases,
    )


def higher_alpha_is_stronger() -> Finding:
    """Compare the held-out loss at alpha 8 and 128, at each rank, learning rate fixed."""
    sweep = recorded("rank-alpha")
    grid = sweep.lines("rank", "alpha")
    return Finding(
        "; ".join(
            f"rank {rank}: {line[8].text()} at alpha 8, {line[128].text()} at alpha 128"
            for rank, line in grid.items()
        )
        + f" ({sweep.provenance()})",
        {
            f"rank {rank}: alpha 128 moves the loss further from {sweep.loss_before:.1f}": (
                line[128].versus(line[8]) == "clearly lower than"
            )
            for rank, line in grid.items()
        },
    )


def two_scalings_in_one_set_of_notes() -> Finding:
    """Compute the scaling of the two settings that similar tutorials print for rank 8."""
    pairs = {alpha: lowrank.scaling_of(8, alpha) for alpha in (16, 32)}
    return Finding(", ".join(f"r=8, alpha={a}: scaling {s:g}" for a, s in pairs.items()))


def rank_is_the_most_important() -> Finding:
    """Compare how far rank, alpha, learning rate and targets moved the loss in recorded sweeps."""
    reach = _reaches()
    return Finding(
        "highest mean loss over the lowest: "
        + ", ".join(f"{knob} {factor:.1f}" for knob, factor in reach.items()),
        {
            f"rank moves the loss more than {knob}": reach["rank, 1 to 64"] > factor
            for knob, factor in reach.items()
            if not knob.startswith("rank")
        },
    )


def three_main_knobs() -> Finding:
    """Say which knobs moved the loss furthest in recorded sweeps."""
    reach = _reaches()
    order = sorted(reach, key=reach.__getitem__, reverse=True)
    return Finding(
        "from the knob that moved the loss furthest: "
        + "; ".join(f"{knob} ({reach[knob]:.1f} times)" for knob in order)
    )


def rank_sets_the_parameters() -> Finding:
    """Count the adapter of Llama-2-7B at ranks 8, 16 and 64."""
    counts = {
        rank: lowrank.count_lora_parameters("llama-2-7b", "q,v", rank) for rank in (8, 16, 64)
    }
    return Finding(
        "q and v of Llama-2-7B: " + ", ".join(f"r={r}: {count:,}" for r, count in counts.items()),
        {f"r={r}: {r // 8} times r=8": n == r // 8 * counts[8] for r, n in counts.items()},
    )


def rank_8_is_usual() -> Finding:
    """Read PEFT's default rank, and compare what papers took with it."""
    from peft import LoraConfig

    ranks = {"PEFT's default": LoraConfig().r, **{who: r for who, (r, _) in PUBLISHED.items()}}
    return Finding(
        ", ".join(f"{who}: r={rank}" for who, rank in ranks.items()),
        {f"{who} is 8": rank == 8 for who, rank in ranks.items()},
    )


def a_starting_recipe() -> Finding:
    """Look at the rank and the targets of r=8, alpha=16, q and v in the recorded sweeps."""
    grid = recorded("rank-alpha").lines("rank", "alpha")
    narrow, *_, wide = recorded("targets").spread("loss")
    ratio = grid[8][16].mean / min(grid[rank][16].mean for rank in grid)
    return Finding(
        f"at alpha 16 rank 8 ends {ratio - 1:.0%} above the best of ranks 1, 8, 64; q and v end at "
        f"{narrow.text()}, all linear maps at {wide.text()} ({recorded('targets').provenance()})",
        {
            "rank 8 within a tenth of the best rank": ratio < 1.1,
            "q and v as good as all linear maps": narrow.versus(wide) != "clearly higher than",
        },
    )


def vera_trains_fewer() -> Finding:
    """Count what VeRA at rank 64 and LoRA at rank 1 train on q and v of SmolLM2, shapes alone."""
    import torch
    from peft import VeraConfig, get_peft_model

    model = "smollm2-135m-instruct"
    with torch.device("meta"):
        shapes: Any = lowrank.meta_model(config_of(model))
        wrapped: Any = get_peft_model(shapes, VeraConfig(r=64, target_modules=["q_proj", "v_proj"]))
    vera = wrapped.get_nb_trainable_parameters()[0]
    lora = lowrank.count_lora_parameters(model, "q,v", 1)
    return Finding(
        f"q and v of SmolLM2-135M: VeRA r=64 trains {vera:,} parameters, LoRA r=1 {lora:,}",
        {"VeRA at rank 64 trains fewer than LoRA at rank 1": vera < lora},
    )


def _reaches() -> Mapping[str, float]:
    """Return knob → highest over lowest mean loss in the sweeps, as lesson 03 compares them."""
    grid = recorded("rank-alpha").lines("rank", "alpha")
    rates = recorded("rate-by-rank").lines("rank", "learning_rate")[8]
    lines = {
        "rank, 1 to 64": [grid[rank][16] for rank in grid],
        "alpha, 8 to 128": list(grid[8].values()),
        "learning rate, 1e-3 to 1e-2": [each for rate, each in rates.items() if rate <= 1e-2],
        "targets, q,v to all linear": recorded("targets").spread("loss"),
    }
    means = {knob: [spread.mean for spread in line] for knob, line in lines.items()}
    return {knob: max(each) / min(each) for knob, each in means.items()}


def _alike(one: Spread, other: Spread) -> bool:
    return one.versus(other) == "not clearly different from"


def _product(left: Any, right: Any) -> tuple[int, int] | None:
    """Return the shape of a product of two matrices, None where the inner sizes differ."""
    return (left[0], right[1]) if left[1] == right[0] else None


def _peft_layer(
    rank: int, alpha: int, *, inputs: int = 64, outputs: int = 64, **fields: Any
) -> Any:
    """Return one linear map with PEFT's adapter of random factors; the same every time."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base: Any = torch.nn.ModuleDict({"map": torch.nn.Linear(inputs, outputs, bias=False)})
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["map"], **fields)
        wrapped: Any = get_peft_model(base, config)
        layer = wrapped.base_model.model["map"]
        torch.nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def _factors(layer: Any) -> tuple[Any, Any]:
    lora_a, lora_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return lora_a.detach(), lora_b.detach()
