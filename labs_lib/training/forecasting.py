"""The forecast of a run's step, to stand beside what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.memory import LaidOut
    from labs_lib.step.plan import Step


@dataclass
class LongestBatch:
    """What is known of the batch that takes the most memory, before a step has been measured.

    `device` is a torch device's kind, `longest_row` the tokens of the longest row, 0 before it is
    known; `laid_out` says how the course's trainer lays the batch out, and is None where the
    model is given padded rows.
    """

    device: str
    longest_row: int = 0
    laid_out: LaidOut | None = None

    def peak_bytes(self, recipe: Recipe, precision: str) -> int | None:
        """Return the forecast of such a batch under a recipe; None where no formula knows it."""
        longest = min(self.longest_row or recipe.max_length, recipe.max_length)
        sizes = resized(self.laid_out, recipe) if self.laid_out else None
        found = forecast_beside(recipe, precision, self.device, longest, 0, sizes)
        return found.get("peak_bytes")


_PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")


def forecast_beside(
    recipe: Recipe,
    precision: str,
    device: str,
    longest_row: int,
    measured_bytes: int,
    laid_out: LaidOut | None = None,
) -> dict[str, Any]:
    """Return the closed form's forecast of the longest step, as `run.json` keeps it.

    `precision` is "bf16" or "fp32", `device` a torch device's kind, `longest_row` the tokens of
    the longest row that was trained on, `measured_bytes` the peak that was measured, `laid_out`
    the batch as the course's trainer gave it to the model. Holds `peak_bytes`, the parts by the
    names of `labs memory`, `difference` (forecast / measured − 1) and `plain_peak_bytes`: that of
    transformers' own step, which pads all rows to the longest and makes logits at every token.
    Without `laid_out` the run took the model's own logits, and the plain step is the forecast.
    Where no formula knows the model there is only `why_none`; where none knows the method, also
    `tokens` and `layout_saves_bytes`, by how much LoRA's step takes less than transformers' own
    with the batch as it was laid out.
    """
    from labs_lib.memory import forecast, forecast_laid_out

    where = "cuda" if device == "cuda" else "cpu"
    step = recipe.step(precision, device=where, seq_len=longest_row)
    try:
        plain = forecast(step)
        found = forecast_laid_out(step, laid_out) if laid_out else plain
    except LabError as error:
        return {"why_none": str(error), **_saved_by_layout(step, laid_out)}
    return {
        "source": found.source,
        "device": where,
        "tokens": longest_row,
        "peak_bytes": found.peak_bytes,
        **{f"{part}_bytes": getattr(found, f"{part}_bytes") for part in _PARTS},
        "difference": found.peak_bytes / measured_bytes - 1 if measured_bytes else None,
        "plain_peak_bytes": plain.peak_bytes,
    }


def resized(sizes: LaidOut, recipe: Recipe) -> LaidOut:
    """Return a batch that was laid out, as a recipe with fewer or shorter rows would have it."""
    rows, longest = min(sizes.rows, recipe.batch_size), min(sizes.longest, recipe.max_length)
    share = rows * longest / (sizes.rows * sizes.longest)
    return dataclasses.replace(
        sizes,
        rows=rows,
        longest=longest,
        tokens=max(longest, round(sizes.tokens * share)),
        answers=max(1, round(sizes.answers * share)),
    )


def _saved_by_layout(step: Step, laid_out: LaidOut | None) -> dict[str, int]:
    from labs_lib.memory import forecast, forecast_laid_out

    lora = step.but(method="lora")
    try:
        plain = forecast(lora)
    except LabError:
        return {}
    found = forecast_laid_out(lora, laid_out) if laid_out else plain
    return {
        "tokens": step.seq_len,
        "layout_saves_bytes": plain.peak_bytes - found.peak_bytes,
    }


def laid_out_in(history: Sequence[dict[str, Any]]) -> LaidOut | None:
    """Return how the measured step's batch was laid out, from what the trainer logged."""
    from labs_lib.memory import LaidOut

    return next((LaidOut(**line["laid_out"]) for line in history if "laid_out" in line), None)


def in_words(forecast: dict[str, Any]) -> str:
    """Return a kept forecast in one line for people."""
    if "why_none" in forecast:
        return f"none: {forecast['why_none']}"
    peak = f"{forecast['peak_bytes'] / 2**30:.2f} GiB"
    difference = forecast["difference"]
    if difference is not None:
        side = "above" if difference >= 0 else "below"
        peak = f"{peak}, {abs(difference):.1%} {side} the measured peak"
    plain = forecast.get("plain_peak_bytes", forecast["peak_bytes"])
    if plain == forecast["peak_bytes"]:
        return peak
    return f"{peak} (transformers' own step: {plain / 2**30:.2f} GiB)"
