"""Checks of what is said about learning rates, by recorded sweeps and the libraries' defaults."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from labs_lib.ledger.finding import Finding
from labs_lib.lowrank import count_lora_parameters
from labs_lib.training import Spread, recorded

TUNED = {  # LoRA's rate over full fine-tuning's, both searched, in a paper's table
    "LoRA, table 12, GPT-3 175B": 2e-4 / 5e-6,
}
QLORA = {"QLoRA, 7B and 13B": 2e-4, "QLoRA, 33B and 65B": 1e-4}  # its appendix B.2


def ten_times_full_fine_tuning() -> Finding:
    """Compare LoRA's best recorded rate with full fine-tuning's, and with a paper's table."""
    sweep = recorded("method-rate")
    best = {name: _best(line) for name, line in sweep.lines("method", "learning_rate").items()}
    ratios = {"the course's task": best["lora"] / best["full"], **TUNED}
    return Finding(
        f"best of three rates each: full {best['full']:g}, LoRA {best['lora']:g}; "
        + ", ".join(f"{who}: {ratio:.0f} times" for who, ratio in ratios.items())
        + f" ({sweep.provenance()})",
        {f"{who}: 5 to 20 times": 5 <= ratio <= 20 for who, ratio in ratios.items()},
    )


def independent_of_the_rank() -> Finding:
    """Find the best recorded rate of each rank, at a fixed alpha and at alpha = 2r."""
    fixed, doubled = recorded("rate-by-rank"), recorded("learning-rate")
    lines = fixed.lines("rank", "learning_rate")
    best = {rank: _best(line) for rank, line in lines.items()}
    at_high_rate = {
        rank: line[1e-2] for rank, line in doubled.lines("rank", "learning_rate").items()
    }
    return Finding(
        "alpha 16, best of four rates: "
        + ", ".join(f"{rate:g} at rank {rank}" for rank, rate in best.items())
        + "; alpha = 2r at rate 1e-2: "
        + ", ".join(f"rank {rank} ends at {each.text()}" for rank, each in at_high_rate.items())
        + f" ({fixed.provenance()})",
        {
            "alpha fixed: one best rate for all ranks": len(set(best.values())) == 1,
            "alpha = 2r: a rate that suits rank 8 suits rank 64": (
                at_high_rate[64].high < (doubled.loss_before or 0)
            ),
        },
    )


def fewer_parameters_want_a_higher_rate() -> Finding:
    """Compare the best recorded rates of ranks whose adapters differ 64-fold in size."""
    sweep = recorded("rate-by-rank")
    best = {r: _best(line) for r, line in sweep.lines("rank", "learning_rate").items()}
    sizes = {r: count_lora_parameters("smollm2-135m-instruct", "all-linear", r) for r in best}
    return Finding(
        "; ".join(f"{sizes[r]:,} parameters: best rate {rate:g}" for r, rate in best.items())
        + f" ({sweep.provenance()})",
        {"the smaller adapter wants the higher rate": best[1] > best[64]},
    )


def a_rate_of_3e_3_diverges() -> Finding:
    """Look at what 3e-3 and ten times as much did in the recorded sweep."""
    sweep = recorded("rate-by-rank")
    before = sweep.loss_before or 0.0
    lines = sweep.lines("rank", "learning_rate")
    ends = {rate: [line[rate] for line in lines.values()] for rate in (3e-3, 3e-2)}
    return Finding(
        f"SmolLM2-135M, loss before training {before:.2f}: "
        + "; ".join(
            f"at {rate:g} ranks {', '.join(map(str, lines))} end at "
            + ", ".join(spread.text() for spread in spreads)
            for rate, spreads in ends.items()
        )
        + f" ({sweep.provenance()})",
        {
            "SmolLM2-135M at 3e-3: worse than no training": all(s.low > before for s in ends[3e-3]),
            "SmolLM2-135M at 3e-2: worse than no training": all(s.low > before for s in ends[3e-2]),
        },
    )


def the_trainers_default_suits_lora() -> Finding:
    """Compare the default rates of the two configurations with rates found best for LoRA."""
    from transformers import TrainingArguments
    from trl.trainer.sft_config import SFTConfig

    wanted = {
        "SmolLM2-135M (recorded)": _best(
            recorded("method-rate").lines("method", "learning_rate")["lora"]
        ),
        **QLORA,
    }
    defaults = {kind.__name__: _default_rate(kind) for kind in (TrainingArguments, SFTConfig)}
    return Finding(
        ", ".join(f"{name}: {rate:g} by default" for name, rate in defaults.items())
        + "; for LoRA "
        + ", ".join(f"{rate:g} ({model})" for model, rate in wanted.items()),
        {
            f"{name}'s default is within a factor of three for {model}": best / rate <= 3
            for name, rate in defaults.items()
            for model, best in wanted.items()
        },
    )


def _best(line: Mapping[float, Spread]) -> float:
    """Return the rate with the lowest mean loss."""
    return min(line, key=lambda rate: line[rate].mean)


def _default_rate(kind: Any) -> float:
    return inspect.signature(kind).parameters["learning_rate"].default
