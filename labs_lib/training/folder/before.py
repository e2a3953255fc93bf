"""The base model's evaluation, kept beside a run so that one resumed need not ask again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        found = Evaluation.from_dict(values)
        _check(found, rows, set(metrics), with_loss)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found


def _check(found: Evaluation, rows: Sequence[Row], metrics: set[str], with_loss: bool) -> None:
    if found.prompts != tuple(row.prompt for row in rows) or set(found.passed) != metrics:
        raise ValueError("other rows or metrics")
    columns = [found.answers, *found.passed.values()] if metrics else []
    if any(len(column) != len(rows) for column in columns):
        raise ValueError("not a value a row")
    if not all(isinstance(text, str) for text in found.answers):
        raise ValueError("an answer is no text")
    if not all(isinstance(mark, bool) for marks in found.passed.values() for mark in marks):
        raise ValueError("a mark is neither true nor false")
    is_number = isinstance(found.loss, float) and math.isfinite(found.loss)
    if is_number != with_loss:
        raise ValueError("no loss where there should be one")
