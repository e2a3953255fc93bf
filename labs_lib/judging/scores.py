"""One value a held-out row, with what was answered and how sure their mean is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs_lib.judging.intervals import Interval
from labs_lib.tables import Table
from labs_lib.training.records import Record

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row
    from labs_lib.training import Run


@dataclass(frozen=True)
class Scores(Record):
    """What answers to held-out rows are worth by one metric.

    `values[i]`, 0 to 1, belongs to `answers[i]` and `prompts[i]`; `prompt_tokens` is the mean
    length of a prompt as the model read it, 0 where no model read one. `rows_fingerprint` tells
    whether two scores are of the same rows.
    """

    name: str
    metric: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    values: tuple[float, ...]
    rows_fingerprint: str
    prompt_tokens: float = 0.0

    @property
    def mean(self) -> float:
        """Return the mean over the rows: for marks of 0 and 1 the share of right rows."""
        raise NotImplementedError

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return Wilson's interval where every value is 0 or 1, else the bootstrap's."""
        raise NotImplementedError


def score_answers(
    name: str,
    data_set: DataSet,
    rows: Sequence[Row],
    answers: Sequence[str],
    metric: str | None = None,
    prompt_tokens: float = 0.0,
) -> Scores:
    """Score answers, one for each of `rows`; `metric` is by default `suggested_metric`'s."""
    raise NotImplementedError


def run_scores(run: Run, metric: str | None = None, when: str = "after") -> Scores:
    """Score the answers that a run kept, those "before" training or "after" it.

    Raises `LabError` where the run's data set is no longer what it was trained on, and for a run
    that answered no row.
    """
    raise NotImplementedError


def scores_table(scores: Sequence[Scores]) -> Table:
    """Return a table with a line for each: score, interval, rows, tokens of a prompt."""
    raise NotImplementedError
