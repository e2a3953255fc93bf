"""What to change when a run does not fit on the GPU, and what each change wins."""

from __future__ import annotations

from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory import format_bytes
from labs_lib.step.savings import ADAPTER, CHECKPOINTING, QUANTIZED_BASE, fewer_at_once, shorter
from labs_lib.training.forecasting import LongestBatch
from labs_lib.training.recipe import STEP_NAMES, Recipe

_WORTH_BYTES = 2**20


def does_not_fit(
    recipe: Recipe,
    precision: str,
    reason: str,
    on_gpu: bool = True,
    batch: LongestBatch | None = None,
) -> LabError:
    """Return the one line that an out-of-memory run ends with.

    Each change names the bytes of peak memory that it saves by the closed-form forecast of the
    run's longest `batch`, or none where the model's shapes are not known; one that saves nothing is
    left out. `precision` is "fp32" or "bf16".
    """
    batch = batch or LongestBatch("cuda" if on_gpu else "cpu")
    parts = []
    for change in changes(recipe):
        words = ", ".join(f"{name}: {str(value).lower()}" for name, value in change.items())
        saved = _saved_bytes(recipe, change, precision, batch)
        if saved is None:
            parts.append(words)
        # Fewer rows at once keep a gradient of every weight meanwhile, and QLoRA's fp32 norms can
        # cost more activations than its weights save.
        elif saved >= _WORTH_BYTES:
            unit = "GiB" if saved >= 2**29 else "MiB"
            parts.append(f"{words} (saves about {format_bytes(saved, unit)})")
    # torch's CPU allocator says what it was asked for in its second sentence.
    _, asked, bytes_ = reason.partition("you tried to allocate")
    said = f"{asked}{bytes_}".split(". ")[0] if asked else reason.split(". ")[0]
    advice = f"Change, first to last: {'; '.join(parts)}" if parts else "Take a smaller model"
    return LabError(
        f"out of {'GPU ' if on_gpu else ''}memory: {said or 'no more is to be had'}. "
        f"{advice}. The last checkpoint is kept"
    )


def changes(recipe: Recipe) -> list[dict[str, Any]]:
    """Return changes to try, the one that costs the result least first.

    Checkpointing and accumulation give the same training; a frozen or 4-bit base another one.
    """
    step = recipe.step()
    turns = (
        CHECKPOINTING.turn(step),
        fewer_at_once(step, -(-step.batch // 2)),
        ADAPTER.turn(step),
        QUANTIZED_BASE.turn(step),
        shorter(step, divisor=2, spared_tokens=128),
    )
    named = [{STEP_NAMES.get(name, name): turn[name] for name in turn} for turn in turns]
    differing = [
        {name: value for name, value in fields.items() if getattr(recipe, name) != value}
        for fields in named
    ]
    return [fields for fields in differing if fields]


def _saved_bytes(
    recipe: Recipe, change: dict[str, Any], precision: str, batch: LongestBatch
) -> int | None:
    before = batch.peak_bytes(recipe, precision)
    after = batch.peak_bytes(recipe.but(**change), precision)
    return None if before is None or after is None else before - after
