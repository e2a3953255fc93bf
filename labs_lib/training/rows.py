"""The rows of a run: which of the data are used, as which tokens, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib import models
from labs_lib.errors import LabError
from labs_lib.training.encoding import Encoder, check_tokenizer, nothing_fits, rows_beyond
from labs_lib.training.engine.order import row_order
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row

LOSS_ROWS = 24
"""Validation rows whose loss is taken before and after: enough for a trend, seconds on a CPU."""

MOST_PLACES = 20_000_000
"""Rows of all steps together; their order is a list in memory."""


@dataclass(frozen=True)
class RunRows:
    """The rows that a run uses, and the encoder that turned them into tokens.

    `train` has a row for every place of the run, `recipe.rows_per_step` of them a step;
    `validation` are those whose loss is taken, `test` those whose prompts are answered. `counts`
    says for `run.json` how many rows of a split are used, cut at `max_length` and dropped.
    """

    encoder: Encoder
    train: list[Row]
    validation: list[Row]
    test: Sequence[Row]
    counts: dict[str, Any]


def encode_rows(recipe: Recipe, data_set: DataSet, say: Callable[[str], None]) -> RunRows:
    """Encode the recipe's rows and put them in the run's order.

    `say` is told what the data need a remark for: a file of unlike rows, rows that do not fit.
    Raises `LabError` for a tokenizer or a chat template that cannot be used, for data of which no
    row can be learned, and for a run of more than `MOST_PLACES` rows.
    """
    tokenizer = models.load_tokenizer(recipe.model)
    check_tokenizer(tokenizer, recipe.model)
    encoder = Encoder(tokenizer, recipe.max_length, recipe.model)
    given = data_set.train[: recipe.train_rows]
    rows, fit = encoder.fitting(given)
    if not given:
        raise LabError(f"dataset: {recipe.dataset} has no training rows")
    if not rows:
        raise nothing_fits(given, encoder)
    validation, validation_fit = encoder.fitting(data_set.validation[:LOSS_ROWS])
    if recipe.eval_every and not validation:
        raise LabError(
            f"eval_every: {recipe.dataset} has no validation row that fits max_length "
            f"{recipe.max_length}, whose loss would be taken; give some, or eval_every 0"
        )
    if data_set.notes:  # data that the course does not know by heart
        for note in (str(data_set), *data_set.notes):
            say(f"data: {note}")
    for split, split_fit in (("training", fit), ("validation", validation_fit)):
        if line := rows_beyond(recipe.max_length, split, split_fit):
            say(line)
    test = data_set.test[: recipe.eval_rows]
    train = _in_order(recipe, rows)
    encoder.prompts_ids(test)  # a template that refuses one does so now, not after training
    counts = {"train": fit.as_dict(), "validation": validation_fit.as_dict()}
    return RunRows(encoder, train, validation, test, {"max_length": recipe.max_length, **counts})


def _in_order(recipe: Recipe, rows: list[Row]) -> list[Row]:
    """Return a row for every place of the run, each step's together."""
    rows_per_step, steps = recipe.rows_per_step, recipe.count_steps(len(rows))
    if steps * rows_per_step > MOST_PLACES:
        raise LabError(
            f"steps: {steps:,} of {rows_per_step:,} rows are more than the {MOST_PLACES:,} rows "
            "that a run may see; give fewer steps or a smaller batch_size × accumulation"
        )
    lengths = [row.characters for row in rows]
    return [rows[index] for index in row_order(lengths, rows_per_step, steps, recipe.seed)]
