"""A finished run of the tiny model, made without training: an adapter and its run.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapter_making import trained

from labs_lib.training import Evaluation, Recipe, Run
from labs_lib.training.run import Cost

COST = Cost(
    train_seconds=12.5, seconds_per_step=0.5, tokens=4800, tokens_per_second=384.0,
    peak_bytes=2**30, peak_kind="live tensors", process_peak_bytes=2**31, memory={},
    adapter_bytes=2**20,
)  # fmt: skip
FORECAST = {"source": "closed form", "tokens": 61, "peak_bytes": 2**30, "difference": 0.0}


def make_run(folder: Path, model: str | Path, **changes: Any) -> Run:
    """Write a run.json of 4 held-out rows, 3 of them right; the adapter is not made."""
    fields = {"name": folder.name, "model": str(model), "steps": 10, **changes}
    recipe = Recipe.of(**fields)
    prompts = ("a", "b", "c", "d")
    run = Run(
        recipe=recipe, trainable_parameters=100, total_parameters=10_000, cost=COST,
        losses=(2.0, 1.0),
        before=Evaluation(prompts, ("", "", "", ""), {"in_voice": (False,) * 4}, 3.0),
        after=Evaluation(prompts, ("x", "x", "x", ""), {"in_voice": (True,) * 3 + (False,)}, 1.5),
        hardware={"device_name": "a laptop", "precision": "fp32"}, versions={"torch": "2.13.0"},
        data_fingerprint="0" * 64, finished_utc="2026-01-01T00:00:00+00:00", folder=folder,
        rows={"max_length": 256, "train": {"used": 182}, "validation": {"used": 18}},
        forecast=FORECAST,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run.as_dict()))
    return run


def make_adapter_run(folder: Path, model: Path, targets: list[str], **changes: Any) -> Run:
    """Make a run whose adapter changes the layers `targets` so much that answers show it."""
    settings = {"r": 4, "lora_alpha": 64, "target_modules": targets}
    trained(model, "LoraConfig", settings, folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    return make_run(folder, model, **changes)
