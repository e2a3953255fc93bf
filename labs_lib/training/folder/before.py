"""The base model's evaluation, kept beside a run so that one resumed need not ask again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from labs_lib.training.evaluation import Evaluation

if TYPE_CHECKING:
    from labs_lib.data import Row


def read_before(
    path: Path, rows: Sequence[Row], metrics: Iterable[str], with_loss: bool
) -> Evaluation | None:
    """Return the evaluation in `path`; None where it is damaged or answers other rows.

    `metrics` are those that it must hold, and `with_loss` says whether it must hold a loss.
    """
    try:
        # Strictly: an answer is a text, a mark true or false, and nothing is turned into either.
        evaluation = TypeAdapter(Evaluation).validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
    return evaluation if _answers(evaluation, rows, set(metrics), with_loss) else None


def _answers(
    evaluation: Evaluation, rows: Sequence[Row], metrics: set[str], with_loss: bool
) -> bool:
    """Return whether an evaluation is of these rows and metrics, with a value for each row."""
    if evaluation.prompts != tuple(row.prompt for row in rows) or set(evaluation.passed) != metrics:
        return False
    columns = [evaluation.answers, *evaluation.passed.values()] if metrics else []
    if any(len(column) != len(rows) for column in columns):
        return False
    has_loss = evaluation.loss is not None and math.isfinite(evaluation.loss)
    return has_loss == with_loss
