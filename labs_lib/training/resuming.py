"""The optimizer's steps of a run, from its beginning or from its newest whole checkpoint."""

from __future__ import annotations

import torch
from transformers import set_seed

from labs_lib.errors import LabError, last_line
from labs_lib.hardware import Hardware
from labs_lib.training.engine.stopping import curve_of, restore_best
from labs_lib.training.engine.trainer import MeasuringTrainer
from labs_lib.training.failures import storage_errors
from labs_lib.training.folder.checkpoints import NotWholeError, latest_whole_checkpoint
from labs_lib.training.folder.run_folder import RunFolder
from labs_lib.training.folder.saving import adapter_shapes
from labs_lib.training.processes.ranks import ONE, Ranks
from labs_lib.training.progress import Progress
from labs_lib.training.recipe import Recipe
from labs_lib.training.run import ValidationCurve

KEPT = "the last checkpoint is kept"


def take_steps(
    trainer: MeasuringTrainer,
    recipe: Recipe,
    run_folder: RunFolder,
    machine: Hardware,
    progress: Progress,
    ranks: Ranks = ONE,
) -> ValidationCurve | None:
    """Take the steps that are left, from the newest whole checkpoint on.

    Returns the validation losses, where the recipe asks for them; with `stop_when_worse` the model
    then has the weights of the lowest.

    Raises `LabError` for a checkpoint that turns out not to be usable, and for a full disk.
    """
    shapes = adapter_shapes(trainer.model)
    checkpoint = ranks.from_first(
        lambda: latest_whole_checkpoint(
            run_folder.checkpoints,
            progress.stage,
            trainer.args.max_steps,
            recipe.batch_size,
            shapes,
        )
    )
    # Evaluating draws from the random state; a run killed after it and resumed did not evaluate.
    set_seed(recipe.seed)
    if machine.device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # an earlier run of this process may have used more
    try:
        with storage_errors(run_folder.checkpoints, KEPT):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            curve = curve_of(recipe, trainer.state)
            if curve and curve.kept_step < trainer.state.global_step:
                restore_best(trainer.model, run_folder.checkpoints, trainer.state.log_history)
    except NotWholeError as error:
        name = checkpoint.name if checkpoint else "a checkpoint"
        raise LabError(
            f"--resume: {name} cannot be gone on from: {last_line(error)}; remove it to go on from "
            "the one before"
        ) from error
    if curve and curve.stopped:
        progress.stage(curve.stopped)
    return curve
