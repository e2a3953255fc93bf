"""A trainer whose checkpoints are whole or absent, and read as what a stranger may have written.

`folder.checkpoints` knows what a checkpoint must hold; here is what transformers does with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState
from trl.trainer.sft_trainer import SFTTrainer

from labs_lib.errors import LabError, last_line
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.training.failures import ran_out_of_memory
from labs_lib.training.folder.checkpoints import NotWholeError, written_whole
from labs_lib.training.learning import cut_off_in
from labs_lib.training.recipe import Recipe


@contextmanager
def _strangers_file() -> Iterator[None]:
    """Turn what a checkpoint's file breaks in the libraries into `NotWholeError`."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:  # a stranger's file in a library's hands
        if ran_out_of_memory(error):
            raise
        raise NotWholeError(last_line(error)) from error


class CheckpointingTrainer(SFTTrainer):
    """`SFTTrainer` that writes whole checkpoints and goes on from nothing else.

    Going on from one that does not fit raises `NotWholeError`.
    """

    _recipe: Recipe

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # SFTTrainer's own version writes a model card into the run's folder at every checkpoint;
        # go past it.
        folder = self.args.output_dir
        try:
            with written_whole(Path(folder or ""), f"checkpoint-{self.state.global_step}") as aside:
                self.args.output_dir = str(aside)
                super(SFTTrainer, self)._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = folder

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if isinstance(self.model, PeftModel) or output_dir is None:
            super()._save(output_dir, state_dict)
            return
        # A checkpoint is read back by the names that the weights have in memory; transformers
        # would save those of some models, experts above all, under the names they came with.
        model: Any = self.accelerator.unwrap_model(self.model)
        model.save_pretrained(output_dir, state_dict=state_dict, save_original_format=False)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Raise `NotWholeError` where a checkpoint leaves a weight as the base model has it."""
        model: Any = self.accelerator.unwrap_model(self.model)
        missing = set(load_result.missing_keys)
        tensors = model.state_dict(keep_vars=True)
        read = {id(tensor) for name, tensor in tensors.items() if name not in missing}
        missing -= {name for name in missing if id(tensors.get(name)) in read}  # tied
        wrong = sorted([*missing, *load_result.unexpected_keys])
        if wrong:
            raise NotWholeError(
                f"{len(wrong)} of its weights do not fit the model (first: {wrong[0]})"
            )

    def _load_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with _strangers_file():
            super()._load_from_checkpoint(*args, **kwargs)

    def _load_callback_state(self) -> None:
        with _strangers_file():
            super()._load_callback_state()

    def _load_rng_state(self, checkpoint: Any) -> None:
        with _strangers_file():
            super()._load_rng_state(checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with _strangers_file():
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._check_optimizer(Path(checkpoint))

    def _check_optimizer(self, checkpoint: Path) -> None:
        """Raise `NotWholeError` unless the optimizer knows of every parameter that is trained."""
        name = checkpoint.name
        history = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).log_history
        cut_off = cut_off_in(history)
        model: Any = self.model
        names = {parameter: name for name, parameter in model.named_parameters()}
        optimizer: Any = getattr(self.optimizer, "optimizer", self.optimizer)
        needed = OPTIMIZERS[self._recipe.optimizer].states.per_element
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                states = optimizer.state.get(parameter, {}).values()
                tables = [state for state in states if torch.is_tensor(state) and state.dim()]
                if not tables and names.get(parameter) in cut_off:  # an expert that had no token
                    continue
                if sum(table.shape == parameter.shape for table in tables) < needed:
                    raise NotWholeError(f"{name}: optimizer.pt does not fit what is trained")
                if not all(bool(torch.isfinite(table).all()) for table in tables):
                    raise NotWholeError(f"{name}: optimizer.pt holds numbers that are not finite")
