"""Metrics for any data set with prompt and answer: each gives a row's answer 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row

RowScorer = Callable[["Row", str], float]

METRICS: Mapping[str, str] = {
    "exact": "the answer is the expected text, white space apart",
    "normalized": "the same, case, accents, quotes and final punctuation apart",
    "label": "the answer names the expected label and no other",
    "json_fields": "F1 over the fields of a JSON object, each with its value",
    "chrf": "chrF: F2 over character n-grams up to 6, in any language",
}
"""Each general metric, in one line."""


def scorer_of(metric: str, data_set: DataSet) -> RowScorer:
    """Return the function (row, answer) → 0 to 1 of a metric.

    `metric` is one of `METRICS` or one of the set's own (`data.scorers`). Raises `LabError` for
    another name.
    """
    raise NotImplementedError


def suggested_metric(data_set: DataSet) -> str:
    """Return the metric that suits the set: its own first one, else by the form of its answers.

    JSON objects: "json_fields"; few short answers that recur: "label"; other short answers:
    "normalized"; texts: "chrf".
    """
    raise NotImplementedError
