"""Early stopping: the validation loss on the way, and the weights that had the lowest.

What is known of it stands in the trainer's own log, so a resumed run knows it too; the weights lie
beside the checkpoints, in files that the log names by their CRC-32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from labs_lib.files import written_aside
from labs_lib.training.failures import DivergedError
from labs_lib.training.folder.checkpoints import (
    BEST_FILES,
    NotWholeError,
    checkpoints_in,
    crc32,
    number_of,
)
from labs_lib.training.recipe import Recipe
from labs_lib.training.run import ValidationCurve

Log = Sequence[Mapping[str, Any]]


class KeepBest(TrainerCallback):
    """Keep the weights of the lowest validation loss, and end the run once it stays above.

    `folder` is that of the checkpoints. An evaluation counts as worse unless its loss is below
    every one before.
    """

    def __init__(self, recipe: Recipe, folder: Path):
        self._recipe, self._folder = recipe, folder
        self._training = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove what a killed run kept after the step from which this one goes on."""
        self._training = True
        for path in self._folder.glob(BEST_FILES):
            if _step_of(path) > state.global_step:
                path.unlink()
        if losses := losses_in(state.log_history):
            _check_whole(_file(self._folder, best_of(losses)), state.log_history)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Heed no evaluation after the last step."""
        self._training = False

    def on_evaluate(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Look at the loss just taken: keep the weights, or count it as worse."""
        if not self._training:
            return
        losses = losses_in(state.log_history)
        if not math.isfinite(losses[-1][1]):
            what = f"the validation loss is {losses[-1][1]}"
            raise DivergedError(self._recipe, state.global_step, what)
        if best_of(losses) == state.global_step:
            path = _file(self._folder, state.global_step)
            with written_aside(path) as aside:
                save_file(_trained(model), aside)
            state.log_history[-1]["best_crc32"] = crc32(path)
            self._remove_older(state)
        elif worse_in_a_row(losses) >= self._recipe.stop_when_worse:
            control.should_training_stop = True
            # A run killed from here on takes these steps again and stops here again, where one
            # resumed after this step would go on.
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove the weights that no checkpoint needs any more."""
        self._remove_older(state)

    def _remove_older(self, state: Any) -> None:
        """Remove all but the best so far and the best as of each checkpoint that is kept."""
        losses = losses_in(state.log_history)
        ends = [state.global_step, *map(number_of, checkpoints_in(self._folder))]
        seen = [[loss for loss in losses if loss[0] <= end] for end in ends]
        needed = {best_of(each) for each in seen if each}
        for path in self._folder.glob(BEST_FILES):
            if _step_of(path) not in needed:
                path.unlink()


def losses_in(log: Log) -> list[tuple[int, float]]:
    """Return (step, validation loss) of every evaluation in a trainer's log."""
    return [(int(line["step"]), float(line["eval_loss"])) for line in log if "eval_loss" in line]


def best_of(losses: Sequence[tuple[int, float]]) -> int:
    """Return the step of the lowest loss; of several the first."""
    return min(losses, key=lambda loss: loss[1])[0]


def worse_in_a_row(losses: Sequence[tuple[int, float]]) -> int:
    """Return how many evaluations there were since the one with the lowest loss."""
    best = best_of(losses)
    return sum(step > best for step, _ in losses)


def curve_of(recipe: Recipe, state: Any) -> ValidationCurve | None:
    """Return the validation losses of a run that has taken its steps; None where none was asked."""
    losses = losses_in(state.log_history)
    if not losses:
        return None
    best, taken = best_of(losses), state.global_step
    why = ""
    if taken < state.max_steps:
        lowest = dict(losses)[best]
        why = (
            f"stopped after step {taken} of {state.max_steps}: none of the last "
            f"{worse_in_a_row(losses)} validation losses was below {lowest:.4f} of step {best}"
        )
    kept = best if recipe.stop_when_worse else taken
    return ValidationCurve(tuple(losses), best, kept, why)


def restore_best(model: Any, folder: Path, log: Log) -> None:
    """Give the model the weights of its lowest validation loss.

    Raises `NotWholeError` where they are not as they were written.
    """
    path = _file(folder, best_of(losses_in(log)))
    _check_whole(path, log)
    trained = dict(model.named_parameters())
    try:
        with torch.no_grad():
            for name, tensor in load_file(path).items():
                trained[name].copy_(tensor)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise NotWholeError(f"{path.name} does not fit what is trained") from error


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _file(folder: Path, step: int) -> Path:
    return folder / BEST_FILES.replace("*", str(step))


def _step_of(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found[0]) if found else -1


def _check_whole(path: Path, log: Log) -> None:
    """Raise `NotWholeError` unless the file is there as its step's line of the log says."""
    written = {line["step"]: line.get("best_crc32") for line in log if "eval_loss" in line}
    if not path.is_file() or crc32(path) != written.get(_step_of(path)):
        raise NotWholeError(f"{path.name}, the best weights so far, is not as it was written")
