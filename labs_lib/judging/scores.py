"""One value a held-out row, with what was answered and how sure their mean is."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs_lib.errors import LabError, choice_error
from labs_lib.judging.intervals import Interval, are_marks, bootstrap_interval, wilson_interval
from labs_lib.judging.metrics import scorer_of, suggested_metric
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
        return statistics.fmean(self.values) if self.values else math.nan

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return Wilson's interval where every value is 0 or 1, else the bootstrap's."""
        if are_marks(self.values):
            return wilson_interval(sum(map(int, self.values)), len(self.values), confidence)
        return bootstrap_interval(self.values, confidence=confidence)

    def __repr__(self) -> str:
        low, high = self.interval()
        return (
            f"{self.name}: {self.metric} {self.mean:.3f} "
            f"({low:.3f} to {high:.3f}, {len(self.values)} rows)"
        )


def score_answers(
    name: str,
    data_set: DataSet,
    rows: Sequence[Row],
    answers: Sequence[str],
    metric: str | None = None,
    prompt_tokens: float = 0.0,
) -> Scores:
    """Score answers, one for each of `rows`; `metric` is by default `suggested_metric`'s.

    Raises `LabError` for no rows, for another number of answers and for an unknown metric.
    """
    if not rows:
        raise LabError(f"dataset: {data_set.name} has no test rows to answer")
    if len(rows) != len(answers):
        raise LabError(f"answers: {len(answers)} for {len(rows)} rows; give one a row")
    metric = metric or suggested_metric(data_set)
    score = scorer_of(metric, data_set)
    return Scores(
        name=name,
        metric=metric,
        prompts=tuple(row.prompt for row in rows),
        answers=tuple(answers),
        values=tuple(score(row, text) for row, text in zip(rows, answers, strict=True)),
        rows_fingerprint=_fingerprint(rows),
        prompt_tokens=prompt_tokens,
    )


def run_scores(run: Run, metric: str | None = None, when: str = "after") -> Scores:
    """Score the answers that a run kept, those "before" training or "after" it.

    Raises `LabError` where the run's data set is no longer what it was trained on, and for a run
    that answered no row.
    """
    if when not in ("before", "after"):
        raise choice_error("when", when, ("before", "after"))
    data_set, rows = answered_rows(run)
    name = run.recipe.name if when == "after" else f"{run.recipe.model}, untrained"
    answers = run.after.answers if when == "after" else run.before.answers
    return score_answers(name, data_set, rows, answers, metric)


def answered_rows(run: Run) -> tuple[DataSet, Sequence[Row]]:
    """Return a run's data set and the test rows that it answered; `LabError` for other data."""
    from labs_lib import data

    recipe = run.recipe
    if not run.after.answers:
        raise LabError(f"run: {recipe.name} answered no held-out row; give it eval_rows above 0")
    data_set = data.resolve(recipe.dataset)
    rows = data_set.test[: recipe.eval_rows]
    if tuple(row.prompt for row in rows) != run.after.prompts or (
        data_set.fingerprint != run.data_fingerprint
    ):
        raise LabError(
            f"run: {recipe.name} was trained on other rows than {recipe.dataset} holds now; bring "
            "them back, or train again"
        )
    return data_set, rows


def scores_table(scores: Sequence[Scores]) -> Table:
    """Return a table with a line for each: score, interval, rows, tokens of a prompt."""
    lines = []
    for each in scores:
        low, high = each.interval()
        tokens = f"{each.prompt_tokens:.0f}" if each.prompt_tokens else "–"
        interval = f"{low:.2f} to {high:.2f}"
        lines.append(
            (each.name, each.metric, f"{each.mean:.2f}", interval, len(each.values), tokens)
        )
    columns = ("who answers", "metric", "score", "95 % interval", "rows", "prompt tokens")
    return Table.of(columns, lines)


def _fingerprint(rows: Sequence[Row]) -> str:
    from labs_lib.data import to_jsonl

    return hashlib.sha256(to_jsonl(rows).encode()).hexdigest()
