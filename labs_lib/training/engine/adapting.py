"""What a PEFT method needs of the trainer beyond LoRA: a start, an optimizer, a word each step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from typing_extensions import override

from labs_lib.step.adapters.entry import Training
from labs_lib.training.engine.checkpointing import CheckpointingTrainer
from labs_lib.training.recipe import Recipe

BEGINNING_TOKENS = 2048
"""About how many tokens of the training rows an adapter that starts from data is shown."""


def training_of(recipe: Recipe) -> Training:
    """Return how the recipe's method trains its adapter."""
    return recipe.adapter.training if recipe.adapter else Training()


class AdaptingTrainer(CheckpointingTrainer):
    """A trainer that starts an adapter, builds its optimizer and adds to its loss as it asks."""

    _beginning: tempfile.TemporaryDirectory[str] | None = None

    @property
    def began_as(self) -> Path | None:
        """Return the folder of the adapter as it began, if that moved the base's weights."""
        return Path(self._beginning.name, "beginning") if self._beginning else None

    def begin_adapter(self) -> None:
        """Start the adapter from data, or keep how it started, where its method asks for that."""
        model: Any = self.model
        adapter = self._recipe.adapter
        if begin := training_of(self._recipe).begin:
            begin(model, self._first_batches())
        if adapter and adapter.moves_base:
            self._beginning = tempfile.TemporaryDirectory()
            model.save_pretrained(str(self.began_as), save_embedding_layers=False)

    def _first_batches(self) -> list[dict[str, Any]]:
        """Return the first rows in batches of the recipe's size, `BEGINNING_TOKENS` of them."""
        rows: Any = self.train_dataset
        size, batches, tokens = self._recipe.batch_size, [], 0
        while tokens < BEGINNING_TOKENS and len(batches) * size < len(rows):
            start = len(batches) * size
            chosen = [rows[at] for at in range(start, min(start + size, len(rows)))]
            batch = self.data_collator(chosen)
            batches.append({name: batch[name] for name in ("input_ids", "attention_mask")})
            tokens += int(batch["attention_mask"].sum())
        return batches

    def create_optimizer(self, model: Any = None) -> Any:
        """Build the optimizer: the method's own, where it brings one."""
        own: Any = training_of(self._recipe).optimizer
        if own is None or self.optimizer is not None:
            return super().create_optimizer(model)
        trained: Any = self.model
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
        self.optimizer = own(trained, kind, options, self._recipe.adapter_settings)
        return self.optimizer

    def with_extra_loss(self, loss: torch.Tensor, model: Any) -> torch.Tensor:
        """Return the loss of a micro-batch with what the method adds to it in training."""
        extra = training_of(self._recipe).extra_loss
        if extra is None or not model.training:
            return loss
        added = extra(self.accelerator.unwrap_model(model))
        return loss + added / self.args.gradient_accumulation_steps


class TellMethod(TrainerCallback):
    """Tell the method of each optimizer step, while its gradients are still there."""

    def __init__(self, after_step: Callable[[Any, int], None]):
        self._after_step = after_step

    @override
    def on_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Pass on the number of the step, from 0."""
        self._after_step(model, state.global_step)
