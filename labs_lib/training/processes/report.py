"""What `run.json` says of several processes, and what they cannot do together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory import shard
from labs_lib.step.adapters import LORA
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.training.processes.ranks import Ranks
from labs_lib.training.processes.sharding import held_bytes
from labs_lib.training.processes.trainer import RankTrainer
from labs_lib.training.recipe import Recipe
from labs_lib.training.run import Run


def check_shared(recipe: Recipe, ranks: Ranks) -> None:
    """Raise `LabError` for a recipe that several processes cannot follow together."""
    ranks.share(recipe)
    if ranks.count > 1 and recipe.stop_when_worse:
        raise LabError(
            f"stop_when_worse: {recipe.stop_when_worse}: early stopping takes one process; give 0, "
            "or train without torchrun"
        )
    if ranks.count > 1 and recipe.adapter not in (None, LORA):
        raise LabError(
            f"method: {recipe.method}: several processes take full, lora or qlora; a later method "
            "starts and steps in one process; train without torchrun"
        )
    library = OPTIMIZERS[recipe.optimizer].library
    if ranks.cuts and library != "torch":
        legal = [
            name for name, each in OPTIMIZERS.items() if each.library == "torch" and each.optim
        ]
        raise LabError(
            f"optimizer: {recipe.optimizer} comes from {library}, which cannot step on parts of "
            f"parameters, as fsdp2 makes them; give one of {', '.join(legal)}, or --sharding ddp"
        )


def shared_run(run: Run, trainer: RankTrainer, precision: str, device: str) -> Run:
    """Return `run` with `ranks` filled in: what each process held, at its peak and sent.

    `ranks` has `count`, `sharding`, `offload`, the rows `at_once` and micro-batches
    (`accumulation`) of each process, and, a value for each process, `peak_bytes` and
    `process_peak_bytes` as in `cost`, `parameter_bytes` (its part of the parameters),
    `other_bytes` (what no sharding divides: buffers, a 4-bit base's scales) and `sent_bytes` in the
    longest step (0 where a run that was resumed took it before). `forecast` is that of
    `labs memory --gpus` for one of them: transformers' own step. Every process must call this.
    """
    ranks, recipe = trainer.ranks, run.recipe
    at_once, accumulation = ranks.share(recipe)
    own = {
        "peak_bytes": run.cost.peak_bytes,
        "process_peak_bytes": run.cost.process_peak_bytes,
        **held_bytes(trainer.model),
        "sent_bytes": trainer.sent.bytes,
    }
    each = ranks.everyone(own)
    step = recipe.step(
        precision,
        device="cuda" if device == "cuda" else "cpu",
        seq_len=trainer.longest_row,
        batch=at_once,
        accumulation=accumulation,
    )
    values: dict[str, Any] = {
        "count": ranks.count,
        "sharding": ranks.sharding,
        "offload": ranks.offload,
        "at_once": at_once,
        "accumulation": accumulation,
        **{name: [values[name] for values in each] for name in own},
        "forecast": ranks.from_first(lambda: _forecast(step, ranks)),
    }
    why = f"{ranks.count} processes shared each step; `ranks` has the forecast of one of them"
    return replace(
        run, ranks=values, forecast={"why_none": why} if ranks.count > 1 else run.forecast
    )


def _forecast(step: Any, ranks: Ranks) -> dict[str, Any]:
    how = "fsdp" if ranks.cuts else "ddp"
    try:
        found = shard(step, gpus=ranks.count, strategy=how, offload=ranks.offload)
    except LabError as error:
        return {"why_none": str(error)}
    return {
        "peak_bytes": found.peak_bytes,
        "held_bytes": found.held_bytes,
        "sent_bytes": found.sent_bytes,
        "at_peak": dict(found.at_peak),
    }
