"""Predictions before an experiment, and how well they turn out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

from labs_lib.assessment.answers import plain
from labs_lib.assessment.event_rows import LARGEST_NUMBER, Event
from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.units import UNITS, AmbiguousNumberError, NumberError, parse_quantity
from labs_lib.errors import LabError, shorten

# What a student is told a range should be: wide enough to hold the outcome four times in five.
RANGE_CONFIDENCE = 0.8
LONGEST_WORD = 2000
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


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
        return "number" if _is_number(self.prediction) and _is_number(self.outcome) else "choice"

    @property
    def held(self) -> bool:
        """Return whether the prediction was right; a plain number counts within 10 %."""
        if self.kind == "range":
            low, high = self.prediction
            return _is_number(self.outcome) and low <= self.outcome <= high
        if self.kind == "number":
            return abs(self.prediction - self.outcome) <= 0.1 * abs(self.outcome)
        if isinstance(self.outcome, bool) and _word(self.prediction) in _TRUTH:
            return _TRUTH[_word(self.prediction)] is self.outcome
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
        parts: list[str] = []
        ranges = [one for one in self.comparisons if one.kind == "range"]
        if ranges:
            held = sum(one.held for one in ranges)
            expected = RANGE_CONFIDENCE * len(ranges)
            parts.append(
                f"{held} of {len(ranges)} ranges held the outcome "
                f"({RANGE_CONFIDENCE:.0%} sure would be {expected:.1f})."
            )
            if len(ranges) >= 3 and held < expected - 1:
                parts.append("Your ranges are too narrow: you are surer than you should be.")
            elif len(ranges) >= 5 and held == len(ranges):
                parts.append("Your ranges may be wider than they need to be.")
        ratios = [one.ratio for one in self.comparisons if one.ratio is not None]
        if ratios:
            factor = median(max(ratio, 1 / ratio) for ratio in ratios)
            high = sum(ratio > 1 for ratio in ratios)
            parts.append(
                f"Your numbers are typically off by a factor of {factor:.2g}; "
                f"{high} of {len(ratios)} were too high."
            )
        choices = [one for one in self.comparisons if one.kind == "choice"]
        if choices:
            held = sum(one.held for one in choices)
            parts.append(f"{held} of {len(choices)} choices came true.")
        return " ".join(parts)


def legal_prediction(value: Any) -> Any:
    """Return a prediction as it is kept: a finite number, (low, high), a word or True/False.

    Numbers of any library become Python's; a pair may be an array. Text stays as it is.
    Raises LabError for anything else.
    """
    number = plain_number(value)
    if isinstance(number, bool) or (number is not None and abs(number) <= LARGEST_NUMBER):
        return number
    kind = cast("type[Any]", type(value))
    if number is None and issubclass(kind, str) and len(value) <= LONGEST_WORD:
        _refuse_two_readings(value)
        return str.__str__(value)
    if number is None:
        parts = _two_of(plain(value))
        if parts is not None and parts[0] <= parts[1]:
            return parts
    raise LabError(
        f"prediction: {shorten(value)} is not a number, a (low, high) range, a word or True/False"
    )


def number_in_words(prediction: Any, outcome: Any, unit: str = "") -> float | None:
    """Return the number that a text such as "2,5 GB" says, where the outcome is one in `unit`.

    None where there is nothing to read, or where it could be read in two ways.
    """
    if not isinstance(prediction, str) or not _is_number(outcome):
        return None
    try:
        return parse_quantity(prediction, unit if unit in UNITS else None)
    except AmbiguousNumberError as error:
        return error.readings[0] if error.likely else None
    except NumberError:
        return None


def latest_prediction(events: Iterable[Event], prediction_id: str) -> tuple[Any, bool] | None:
    """Return the last prediction and whether it was made after the outcome had been shown."""
    revealed = False
    latest: tuple[Any, bool] | None = None
    for event in events:
        if event["id"] != prediction_id:
            continue
        if event["event"] == "comparison":
            revealed = True
        elif event["event"] == "prediction":
            latest = (event.get("value"), revealed)
    return latest


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
            read = event.get("value")  # what was read in a text, such as "2,5 GB"
            value = predicted.get(item) if read is None else read
            first[item] = Comparison(item, value, event["outcome"]) if known else None
    return Calibration(tuple(one for one in first.values() if one is not None))


def _refuse_two_readings(text: str) -> None:
    for unit in (None, "GB"):  # a number alone, or one with a unit of whatever kind
        try:
            parse_quantity(text, unit)
        except AmbiguousNumberError as error:
            if not error.likely:
                raise LabError(f"prediction: {error}") from None
        except NumberError:
            continue


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _two_of(parts: Any) -> list[Any] | None:
    """Return two finite numbers in a list, or None."""
    if not isinstance(parts, list):
        return None
    two = cast("list[Any]", parts)
    if len(two) != 2:
        return None
    both = all(_is_number(part) and abs(part) <= LARGEST_NUMBER for part in two)
    return two if both else None


def _word(value: Any) -> str:
    return " ".join(str(value).split()).casefold()
