"""The course's trainer in one of several processes: the same rows, loss, checkpoints and files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch.distributed.fsdp import FSDPModule
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from typing_extensions import override

from labs_lib.training.engine.loss_check import QUICK
from labs_lib.training.engine.trainer import MeasuringTrainer
from labs_lib.training.processes.ranks import Ranks
from labs_lib.training.processes.sharding import (
    cut_states,
    cut_up,
    is_cut_up,
    read_weights,
    whole_states,
    whole_weights,
)
from labs_lib.training.processes.traffic import GatheredBytes, SentBytes


class RankTrainer(MeasuringTrainer):
    """`MeasuringTrainer` that shares each step with other processes.

    The step's loss is the mean over the labeled tokens of all processes, so its gradient is that of
    one process. Each process takes the held-out loss of all validation rows. The first one alone
    writes, and a checkpoint holds complete tensors, so any number of processes goes on from it.
    """

    _counter = GatheredBytes

    def __init__(self, *, ranks: Ranks, **kwargs: Any):
        self.ranks = ranks  # asked for while the trainer is built
        super().__init__(**kwargs)
        self.sent = SentBytes(ranks.count)
        self._weights: dict[str, torch.Tensor] | None = None
        self._states: dict[str, Any] = {}
        self.add_callback(_OwnDropout(ranks))

    def cut_up(self) -> None:
        """Divide the model among the processes, where the run is to be sharded."""
        if not self.ranks.cuts:
            return
        model: Any = self.model
        cut_up(model, self.args.device.type, self.ranks.offload)
        # The model owns its placement and the sums of its gradients: nothing is wrapped around it.
        self.is_distributed_loading_by_transformers = True
        self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)

    def gather_weights(self) -> dict[str, torch.Tensor] | None:
        """Return `whole_weights` of what was trained."""
        self._settle()
        return whole_weights(self.model)

    def _settle(self) -> None:
        """Let go of the root's gathered parameters, which answers leave in place of the parts."""
        if isinstance(self.model, FSDPModule):
            self.model.reshard()

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not self.ranks.cuts:  # or all of it would have to fit on the device at once
            super()._move_model_to_device(model, device)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return all validation rows, in one process's batches."""
        rows: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        batch_size = self.args.eval_batch_size
        loader = DataLoader(rows, batch_size=batch_size, collate_fn=self.data_collator)
        return prepare_data_loader(
            loader, self.args.device, num_processes=1, process_index=0, put_on_device=True
        )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Take the held-out loss of all validation rows in every process."""
        gather, self.gather_function = self.gather_function, self._own_rows
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self.gather_function = gather
            self._settle()

    def _own_rows(self, losses: torch.Tensor) -> torch.Tensor:
        """Return a batch's losses, one for each of its rows; the last batch may have fewer."""
        loader = self.accelerator.gradient_state
        last = loader.end_of_dataloader and loader.remainder > 0
        return losses[: loader.remainder] if last else losses

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run one micro-batch; in the measured step what is sent is counted too."""
        if self.state.global_step != self._measured_step:
            return super().training_step(*args, **kwargs)
        with self.sent:
            return super().training_step(*args, **kwargs)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss that, averaged over the processes, is that of all their rows."""
        loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        if num_items_in_batch is not None:  # counted in all processes; gradients are averaged
            loss = loss * self.ranks.count
        return (loss, {}) if return_outputs else loss

    def _summed_loss(self, model: Any, inputs: dict[str, Any], way: str) -> torch.Tensor:
        inner = self.accelerator.unwrap_model(model)
        if way != QUICK or (inner is model and not is_cut_up(model)):
            return super()._summed_loss(model, inputs, way)
        # The quick way calls the model's parts; DDP and FSDP2 watch calls of the model.
        with _forward_of(inner, partial(super()._summed_loss, inner, inputs, way)):
            return model()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the tokens of all processes."""
        if "loss" in logs:
            tokens = sum(self.ranks.everyone(self._total_train_tokens))
            self._metrics["train"]["num_tokens"] = [tokens]
        super().log(logs, start_time)

    def store_flos(self) -> None:
        """Leave out a count that all processes would have to be asked for; nothing reads it."""

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        self._settle()
        # An evaluation marks the model as prepared, and accelerate then leaves DDP out.
        vars(self.model).pop("_is_accelerate_prepared", None)
        return super()._prepare_for_training(*args, **kwargs)

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        model: Any = self.model
        model.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._weights, self._states = self.gather_weights(), whole_states(self.optimizer)
        self.state.train_batch_size = self._recipe.batch_size  # as one process notes it
        if self.ranks.first:
            super()._save_checkpoint(model, trial)
        self._weights, self._states = None, {}
        self.ranks.wait()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, self._weights if state_dict is None else state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        scheduler: Any = self.lr_scheduler
        torch.save(self._states, Path(output_dir) / OPTIMIZER_NAME)
        torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.ranks.count > 1:
            numbered = Path(output_dir) / f"rng_state_{self.ranks.number}.pth"
            numbered.replace(numbered.with_name("rng_state.pth"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if is_cut_up(self.model):
            self._settle()
            read_weights(self.model, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            cut_states(self.optimizer)


class _OwnDropout(TrainerCallback):
    """Give each process a dropout of its own in each step, the same when a run is resumed."""

    def __init__(self, ranks: Ranks):
        self._ranks = ranks

    @override
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._ranks.count > 1:
            step = state.global_step * self._ranks.count + self._ranks.number
            torch.manual_seed(args.seed * 1_000_003 + step)


@contextmanager
def _forward_of(module: Any, function: Any) -> Iterator[None]:
    """Call `function` where `module` is called, with all that watches the module's calls."""
    attributes = vars(module)
    earlier = attributes.get("forward")
    attributes["forward"] = function
    try:
        yield
    finally:
        del attributes["forward"]
        if earlier is not None:  # accelerate puts autocast there
            attributes["forward"] = earlier
