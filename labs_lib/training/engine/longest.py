"""The batch of a run that takes the most memory, as the trainer gives it to the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from labs_lib.training.engine.head_loss import plain_head
from labs_lib.training.engine.layout import laid_out, lay_out
from labs_lib.training.engine.loss_check import QUICK

if TYPE_CHECKING:
    from labs_lib.memory import LaidOut
    from labs_lib.training.engine.trainer import MeasuringTrainer


def longest_batch(trainer: MeasuringTrainer, batch_size: int) -> LaidOut | None:
    """Return how the batch with the longest row is laid out; None for padded rows."""
    rows: Any = trainer.train_dataset
    lengths = [len(ids) for ids in rows["input_ids"]]
    start = lengths.index(max(lengths)) // batch_size * batch_size
    return batch_laid_out(trainer, rows.select(range(start, min(start + batch_size, len(rows)))))


def batch_laid_out(trainer: MeasuringTrainer, rows: Iterable[Any]) -> LaidOut | None:
    """Return the sizes of a batch of these encoded rows as the trainer gives it to the model."""
    parts = plain_head(trainer.model)
    if trainer.loss_from != QUICK or parts is None:
        return None
    batch = trainer.data_collator([dict(row) for row in rows])
    names = ("input_ids", "attention_mask", "labels")
    given = lay_out(parts[0].config, *(batch[name] for name in names))
    return laid_out(*given, trainer.words_added)
