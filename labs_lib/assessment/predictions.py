"""Predictions before an experiment, and how well they turn out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from labs_lib.assessment.progress import Event
from labs_lib.errors import LabError, shorten

# What a student is told a range should be: wide enough to hold the outcome four times in five.
RANGE_CONFIDENCE = 0.8


@dataclass(frozen=True)
class Comparison:
    """A prediction beside its outcome.

    `held` is whether a range held the outcome or a word was right; `ratio` is prediction over
    outcome for a plain number, where both have one sign.
    """

    prediction_id: str
    prediction: Any
    outcome: Any
    hindsight: bool = False

    @property
    def kind(self) -> str:
        """Return range, number or choice."""
        if isinstance(self.prediction, (list, tuple)):
            return "range"
        number = isinstance(self.prediction, (int, float)) and not isinstance(self.prediction, bool)
        return "number" if number and isinstance(self.outcome, (int, float)) else "choice"

    @property
    def held(self) -> bool:
        """Return whether the prediction was right; a plain number counts within 10 %."""
        if self.kind == "range":
            low, high = self.prediction
            return isinstance(self.outcome, (int, float)) and low <= self.outcome <= high
        if self.kind == "number":
            return abs(self.prediction - self.outcome) <= 0.1 * abs(self.outcome)
        return _word(self.prediction) == _word(self.outcome)

    @property
    def ratio(self) -> float | None:
        """Return prediction / outcome if both are numbers of one sign."""
        if self.kind != "number" or not self.outcome or self.prediction / self.outcome <= 0:
            return None
        return self.prediction / self.outcome


@dataclass(frozen=True)
class Calibration:
    """How a student's predictions have done; those made after seeing the outcome don't count."""

    comparisons: tuple[Comparison, ...]

    @property
    def text(self) -> str:
        """Return the verdict in a few plain sentences."""
        if not self.comparisons:
            return "No prediction has met its outcome yet."
        parts = []
        ranges = [each for each in self.comparisons if each.kind == "range"]
        if ranges:
            held = sum(each.held for each in ranges)
            expected = RANGE_CONFIDENCE * len(ranges)
            parts.append(
                f"{held} of {len(ranges)} ranges held the outcome "
                f"({RANGE_CONFIDENCE:.0%} sure would be {expected:.1f})."
            )
            if len(ranges) >= 3 and held < expected - 1:
                parts.append("Your ranges are too narrow: you are surer than you should be.")
            elif len(ranges) >= 5 and held == len(ranges):
                parts.append("Your ranges may be wider than they need to be.")
        ratios = [each.ratio for each in self.comparisons if each.ratio is not None]
        if ratios:
            factor = median(math.exp(abs(math.log(ratio))) for ratio in ratios)
            high = sum(ratio > 1 for ratio in ratios)
            parts.append(
                f"Your numbers are typically off by a factor of {factor:.2g}; "
                f"{high} of {len(ratios)} were too high."
            )
        choices = [each for each in self.comparisons if each.kind == "choice"]
        if choices:
            held = sum(each.held for each in choices)
            parts.append(f"{held} of {len(choices)} choices came true.")
        return " ".join(parts)


def legal_prediction(value: Any) -> Any:
    """Return a prediction as it is kept: a finite number, (low, high), a word or True/False.

    Raises LabError for anything else.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) in ((), (1,)):
        value = item()
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            return value
    elif isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = (legal_prediction(part) for part in value)
        numbers = all(
            isinstance(part, (int, float)) and not isinstance(part, bool) for part in (low, high)
        )
        if numbers and low <= high:
            return [low, high]
    raise LabError(
        f"prediction: {shorten(value)} is not a number, a (low, high) range, a word or True/False"
    )


def latest_prediction(events: Iterable[Event], prediction_id: str) -> tuple[Any, bool] | None:
    """Return the last prediction and whether it was made after the outcome had been shown."""
    revealed = False
    found: tuple[Any, bool] | None = None
    for event in events:
        if event["id"] != prediction_id:
            continue
        if event["event"] == "comparison":
            revealed = True
        elif event["event"] == "prediction":
            found = (event.get("value"), revealed)
    return found


def calibration_of(events: Iterable[Event]) -> Calibration:
    """Return the calibration over each prediction's first meeting with its outcome."""
    first: dict[str, Comparison | None] = {}
    predicted: dict[str, Any] = {}
    for event in events:
        item = event["id"]
        if event["event"] == "prediction":
            predicted[item] = event.get("value")
        elif event["event"] == "comparison" and item not in first:
            known = item in predicted
            first[item] = Comparison(item, predicted[item], event.get("outcome")) if known else None
    return Calibration(tuple(each for each in first.values() if each is not None))


def _word(value: Any) -> str:
    return " ".join(str(value).split()).casefold()
