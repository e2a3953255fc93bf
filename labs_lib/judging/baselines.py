"""What is reached without training: the base model's answers, and the nearest row's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.judging.scores import Scores

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row


def baseline(
    model: Any,
    tokenizer: Any,
    data_set: DataSet,
    shots: int = 0,
    metric: str | None = None,
    rows: int = 40,
    max_new_tokens: int = 40,
    seed: int = 0,
) -> Scores:
    """Score the model's answers to the first `rows` test rows, with `shots` examples before each.

    The examples are training rows drawn by `seed`, the same for all rows, given as earlier turns
    of the conversation. `rows` and `max_new_tokens` are what a recipe calls `eval_rows` and
    `eval_tokens`: with the same numbers a run's scores are of the same rows. Raises `LabError`
    for more shots than training rows, and for a prompt that leaves the model's window no room.
    """
    raise NotImplementedError


def few_shot_messages(data_set: DataSet, row: Row, shots: int, seed: int = 0) -> list[dict]:
    """Return the messages that ask `row` after `shots` training rows as earlier turns."""
    raise NotImplementedError


def nearest_answer(data_set: DataSet, metric: str | None = None, rows: int = 40) -> Scores:
    """Score the answer of the training row whose prompt is nearest, copied as it is.

    Near by the share of characters that two prompts have in common, in order
    (`rapidfuzz.fuzz.ratio`). No model is asked: what this reaches needs no fine-tuning.
    """
    raise NotImplementedError


def _chosen(data_set: DataSet, rows: int) -> Sequence[Row]:
    return data_set.test[:rows]
