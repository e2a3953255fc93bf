"""A run's held-out rows: their loss and the answers to them, before training and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib import data
from labs_lib.errors import LabError
from labs_lib.files import write_json
from labs_lib.training.engine.evaluating import evaluating
from labs_lib.training.evaluation import Evaluation, Scorer, evaluate
from labs_lib.training.folder.before import read_before
from labs_lib.training.processes.ranks import ONE, Ranks
from labs_lib.training.progress import Progress
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row
    from labs_lib.training.engine.trainer import MeasuringTrainer


@dataclass(frozen=True)
class HeldOut:
    """Rows whose prompts are answered, the metrics that judge an answer, and its most tokens."""

    rows: Sequence[Row]
    scorers: Mapping[str, Scorer]
    answer_tokens: int

    @classmethod
    def of(cls, recipe: Recipe, data_set: DataSet) -> HeldOut:
        """Return the first `recipe.eval_rows` test rows of a data set, with its metrics."""
        rows = data_set.test[: recipe.eval_rows]
        return cls(rows, data.scorers(data_set.name), recipe.eval_tokens)

    def evaluate(self, trainer: MeasuringTrainer, model: Any) -> Evaluation:
        """Take the loss of the trainer's validation rows and score the model's answers."""
        loss = trainer.evaluate()["eval_loss"] if trainer.eval_dataset is not None else None
        with evaluating(model, fold=True):
            return evaluate(
                model, trainer.processing_class, self.rows, self.scorers, self.answer_tokens, loss
            )

    def _of_base(self, trainer: MeasuringTrainer, recipe: Recipe) -> Evaluation:
        model: Any = trainer.model
        if recipe.adapter and recipe.adapter.in_front:
            # Untrained vectors in front of the text already change what the model says.
            with model.disable_adapter():
                return self.evaluate(trainer, model)
        # B = 0 (and nothing trained yet), so the wrapped model still is the base model.
        return self.evaluate(trainer, model)

    def before_training(
        self,
        trainer: MeasuringTrainer,
        recipe: Recipe,
        file: Path,
        progress: Progress,
        earlier: Evaluation | None = None,
        ranks: Ranks = ONE,
    ) -> Evaluation:
        """Return the base model's evaluation: `earlier`, that in `file`, or one made now.

        It is written to `file`, by the first of several processes, so that a run that is resumed
        need not ask again. Raises
        `LabError` for a base model whose loss is no finite number.
        """
        before = earlier

        def kept() -> Evaluation | None:
            return self._kept(file, progress, trainer.eval_dataset is not None)

        if before is None:
            before = ranks.from_first(kept)
        if before is None:
            progress.stage(f"answering {len(self.rows)} held-out prompts before training")
            before = self._of_base(trainer, recipe)
            if not math.isfinite(before.loss or 0):
                raise LabError(
                    f"model: the loss of {recipe.model} is {before.loss} before anything is "
                    "trained; its weights are damaged"
                )
        if ranks.first:
            write_json(file, before.as_dict())
        return before

    def _kept(self, file: Path, progress: Progress, with_loss: bool) -> Evaluation | None:
        """Return the evaluation in `file`, None where there is none that answers these rows."""
        if not file.exists():
            return None
        before = read_before(file, self.rows, self.scorers, with_loss)
        if before is None:
            progress.stage(f"{file.name} is damaged: asking the base model again")
        return before
