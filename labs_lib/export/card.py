"""A model card in Hugging Face's format, filled from a run's own record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_card(
    run_folder: str | Path,
    out: str | Path | None = None,
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    baseline: Mapping[str, float] | None = None,
    licence: str | None = None,
    data_licence: str | None = None,
    language: str | None = None,
    use: str | None = None,
    not_for: str | None = None,
    limitations: str | None = None,
    replace: bool = False,
) -> Path:
    """Write the model card of a finished run to `README.md` in `out`; returns its path.

    `out` is a folder, by default the run's own. Base model, data set, method, recipe, scores with
    the number of held-out rows, forecast and measured peak come from `run.json`. `intervals` maps a
    metric to the ends of its confidence interval and `baseline` to the score of the baseline, both
    as shares from 0 to 1. `licence` is the adapter's, by default the base model's where the
    catalogue knows it; `data_licence` is asked for only where the data set has no card. `language`
    is an ISO 639-1 code. `use`, `not_for` and `limitations` are a person's own sentences: what
    is not given is marked in the card, and `unwritten` names it.

    Raises `LabError` for a folder without a finished run, a metric that the run has not, a share
    outside of 0 to 1, and for a card that is there already with another text, unless `replace`.
    """
    raise NotImplementedError


def unwritten(card: str | Path) -> tuple[str, ...]:
    """Return the names of the fields that a person must still write in a card; empty when complete.

    `card` is the card's file or its folder. Raises `LabError` for a missing file, and for one whose
    metadata Hugging Face's `ModelCardData` cannot read. Nothing is asked of a hub.
    """
    raise NotImplementedError
