"""The forecast of a run's step, to stand beside what was measured."""

from __future__ import annotations

from typing import Any

from labs_lib.errors import LabError
from labs_lib.training.recipe import Recipe

_PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")


def forecast_beside(
    recipe: Recipe, precision: str, device: str, longest_row: int, measured_bytes: int
) -> dict[str, Any]:
    """Return the closed form's forecast of the longest step, as `run.json` keeps it.

    `precision` is "bf16" or "fp32", `device` a torch device's kind, `longest_row` the tokens of
    the longest row that was trained on, `measured_bytes` the peak that was measured. Holds
    `peak_bytes`, the parts by the names of `labs memory`, `tokens` (a row's), and `difference`:
    forecast / measured − 1. Where no formula knows the model or the method there is only
    `why_none`.

    The forecast is of transformers' own step, which pads rows and makes logits at every token.
    The course's trainer does neither, so its peak is lower by up to 12 bytes a token and word.
    """
    from labs_lib.memory import forecast

    where = "cuda" if device == "cuda" else "cpu"
    try:
        found = forecast(recipe.step(precision, device=where, seq_len=longest_row))
    except LabError as error:
        return {"why_none": str(error)}
    return {
        "source": found.source,
        "device": where,
        "tokens": longest_row,
        "peak_bytes": found.peak_bytes,
        **{f"{part}_bytes": getattr(found, f"{part}_bytes") for part in _PARTS},
        "difference": found.peak_bytes / measured_bytes - 1 if measured_bytes else None,
    }


def in_words(forecast: dict[str, Any]) -> str:
    """Return a kept forecast in one line for people."""
    if "why_none" in forecast:
        return f"none: {forecast['why_none']}"
    peak = f"{forecast['peak_bytes'] / 2**30:.2f} GiB for a plain step of transformers and PEFT"
    difference = forecast["difference"]
    if difference is None:
        return peak
    side = "above" if difference >= 0 else "below"
    return f"{peak}, {abs(difference):.0%} {side} the measured peak"
