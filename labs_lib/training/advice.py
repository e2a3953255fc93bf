"""What to change when a run does not fit on the GPU, and what each change wins."""

from __future__ import annotations

from typing import Any

from labs_lib.errors import LabError
from labs_lib.step.savings import ADAPTER, CHECKPOINTING, QUANTIZED_BASE, fewer_at_once, shorter
from labs_lib.training.recipe import STEP_NAMES, Recipe


def does_not_fit(recipe: Recipe, precision: str, reason: str, on_gpu: bool = True) -> LabError:
    """Return the one line that an out-of-memory run ends with.

    Each change names the bytes of peak memory that it saves by the closed-form forecast, or
    none where the model's shapes are not known. `precision` is "fp32" or "bf16".
    """
    parts = []
    for change in changes(recipe):
        words = ", ".join(f"{name}: {str(value).lower()}" for name, value in change.items())
        saved = _saved_bytes(recipe, change, precision)
        if saved is None:
            parts.append(words)
        elif saved > 0:  # QLoRA's fp32 norms can cost more activations than its weights save
            parts.append(f"{words} (saves about {saved / 2**30:.1f} GiB)")
    # torch's CPU allocator says what it was asked for in its second sentence.
    _, asked, bytes_ = reason.partition("you tried to allocate")
    said = f"{asked}{bytes_}".split(". ")[0] if asked else reason.split(". ")[0]
    return LabError(
        f"out of {'GPU ' if on_gpu else ''}memory: {said or 'no more is to be had'}. "
        f"Change, first to last: {'; '.join(parts)}. The last checkpoint is kept"
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


def _saved_bytes(recipe: Recipe, change: dict[str, Any], precision: str) -> int | None:
    try:
        return _peak_bytes(recipe, precision) - _peak_bytes(recipe.but(**change), precision)
    except LabError:  # a model whose shapes no forecast knows
        return None


def _peak_bytes(recipe: Recipe, precision: str) -> int:
    from labs_lib.memory import forecast

    return forecast(recipe.step(precision)).peak_bytes
