"""`train(recipe)`: from a recipe to a finished run on disk, resumable at any moment.

The way of a run, as `_train` goes it: encode the rows, set up model and trainer, ask the base
model, take the steps, ask the trained model, save, record. `plain.py` goes the same way with
nothing but transformers, PEFT and a loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from labs_lib import data, hardware, models, paths
from labs_lib.errors import LabError
from labs_lib.files import expanded
from labs_lib.quiet import quiet_libraries
from labs_lib.training.accounting import accelerator_peak_bytes, cost_of
from labs_lib.training.advice import does_not_fit
from labs_lib.training.encoding import check_prompts_within_tables
from labs_lib.training.engine.building import build_trainer
from labs_lib.training.engine.stopping import KeepBest
from labs_lib.training.engine.trainer import MeasuringTrainer, TellProgress
from labs_lib.training.evaluation import Evaluation
from labs_lib.training.failures import (
    DivergedError,
    check_finite_weights,
    ran_out_of_memory,
    storage_errors,
)
from labs_lib.training.folder.provenance import start_of, versions
from labs_lib.training.folder.run_folder import RunFolder, place, sole_writer
from labs_lib.training.folder.saving import count_parameters, save_listing
from labs_lib.training.forecasting import forecast_beside, laid_out_in
from labs_lib.training.held_out import HeldOut
from labs_lib.training.learning import cut_off_in
from labs_lib.training.progress import Progress, default_progress
from labs_lib.training.recipe import Recipe
from labs_lib.training.resuming import KEPT, take_steps
from labs_lib.training.rows import RunRows, encode_rows
from labs_lib.training.run import RUN_FILE, Run


@dataclass(frozen=True)
class RunPlan:
    """What a run is to be, and where, before anything is loaded.

    `folder` is the place as it was given, `run_folder` what is written there; `precision` is
    "bf16" or "fp32".
    """

    recipe: Recipe
    data_set: data.DataSet
    machine: hardware.Hardware
    precision: str
    folder: Path
    run_folder: RunFolder
    progress: Progress


def train(
    recipe: Recipe,
    folder: str | Path | None = None,
    resume: bool = False,
    reuse: bool = False,
    progress: Progress | None = None,
    before: Evaluation | None = None,
) -> Run:
    """Fine-tune by `recipe` and return the finished run.

    `folder` (by default one named after the recipe in the course's data folder) receives
    `adapter/` (`model/` after full fine-tuning) and `run.json`. An earlier run in it stays until
    this one is finished, and a file that no run wrote stays for good. With `resume` the run goes
    on from its last whole checkpoint and, on a CPU, ends with the very adapter that an
    uninterrupted run ends with; a run that began with other data, model files or versions is
    refused. With `reuse` a finished run of this very recipe,
    data and library versions is read back instead of trained again. `before` is the base model's
    evaluation on the same rows, where an earlier run has it. Raises `LabError` for input that
    cannot work, for a full disk, for memory that does not do (with what to change) and, as
    `DivergedError`, for a loss that is no number; the last checkpoint is kept.
    """
    folder = expanded(folder) if folder is not None else paths.runs_dir() / recipe.name
    data_set = _locate(recipe)
    place(folder)
    if reuse and (finished := _finished(folder, recipe, data_set)):
        return finished
    progress = progress or default_progress()
    why = recipe.adapter.training.no_resuming if recipe.adapter else ""
    if resume and why and not _finished(folder, recipe, data_set):
        raise LabError(f"--resume: a run by {recipe.method} cannot be gone on from: {why}")
    with sole_writer(folder), quiet_libraries():
        machine = hardware.detect()
        precision = recipe.precision_on(machine)
        started_with = start_of(recipe, data_set, machine.device, precision)
        run_folder = RunFolder.claim(folder, recipe, started_with, resume)
        if run_folder.resumed and (finished := _finished(folder, recipe, data_set)):
            run_folder.tidy()
            return finished
        plan = RunPlan(recipe, data_set, machine, precision, folder, run_folder, progress)
        try:
            return _train(plan, before)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            on_gpu = isinstance(error, torch.OutOfMemoryError)
            raise does_not_fit(recipe, precision, str(error), on_gpu) from None
        finally:
            run_folder.withdraw()
            progress.close()


def _locate(recipe: Recipe) -> data.DataSet:
    """Find the model, its modules and the data by name, before a folder is made for the run."""
    models.locate(recipe.model)
    known = models.find(recipe.model)
    if known is not None and not recipe.trains_all:
        models.resolve_targets(known, recipe.target_modules)
    return data.resolve(recipe.dataset)


def _finished(folder: Path, recipe: Recipe, data_set: data.DataSet) -> Run | None:
    """Return the run in `folder` if it is finished and of this recipe, these data and versions."""
    if not (folder / RUN_FILE).exists():
        return None
    run = Run.load(folder)
    identity = (run.recipe, run.versions, run.data_fingerprint)
    asked_for = (recipe, versions(), data_set.fingerprint)
    return run if identity == asked_for and run.output.is_dir() else None


def _train(plan: RunPlan, before: Evaluation | None) -> Run:
    """Encode, set up, evaluate the base, train, evaluate what was trained, save, record."""
    recipe, run_folder, progress = plan.recipe, plan.run_folder, plan.progress
    held_out = HeldOut.of(recipe, plan.data_set)

    progress.stage(f"loading {recipe.model}")
    set_seed(recipe.seed)
    rows = encode_rows(recipe, plan.data_set, progress.stage)
    trainer = _set_up(plan, rows)
    run_folder.begin()  # from here on there is something to put in an earlier run's place

    before = held_out.before_training(trainer, recipe, run_folder.before_file, progress, before)

    progress.stage("training")
    try:
        curve = take_steps(trainer, recipe, run_folder, plan.machine, progress)
        peak_bytes = accelerator_peak_bytes(plan.machine)  # before answers are written
        trained = trainer.accelerator.unwrap_model(trainer.model)
        check_finite_weights(trained, recipe, trainer.state.global_step)
        progress.stage(f"answering {len(held_out.rows)} held-out prompts after training")
        after = held_out.evaluate(trainer, trained)
        if not math.isfinite(after.loss or 0):
            raise DivergedError(
                recipe, trainer.state.global_step, f"the held-out loss is {after.loss}"
            )
    except DivergedError as error:
        error.before, error.trainable_parameters = before, count_parameters(trainer.model)[0]
        raise

    trainer.put_config_back()
    with storage_errors(run_folder.output, KEPT):
        saved = save_listing(
            trained, run_folder.output, recipe.model, trainer.processing_class, trainer.began_as
        )
    run = replace(_record(plan, rows, trainer, before, after, peak_bytes), validation_curve=curve)
    run_folder.finish(run.as_dict(), saved)
    return run


def _set_up(plan: RunPlan, rows: RunRows) -> MeasuringTrainer:
    """Build model, adapter and trainer, and hold the rows against the model's tables."""
    recipe = plan.recipe
    model, _, trainer = build_trainer(
        recipe,
        rows.train,
        rows.validation,
        plan.machine,
        plan.precision,
        plan.run_folder.work,
        rows.encoder,
    )
    check_prompts_within_tables(model, recipe.model, rows.encoder, rows.test, recipe.eval_tokens)
    trainer.add_callback(TellProgress(plan.progress))
    if recipe.stop_when_worse:
        trainer.add_callback(KeepBest(recipe, plan.run_folder.checkpoints))
    return trainer


def _record(
    plan: RunPlan,
    rows: RunRows,
    trainer: MeasuringTrainer,
    before: Evaluation,
    after: Evaluation,
    peak_bytes: int,
) -> Run:
    """Return the run as `run.json` keeps it, from what the trainer logged at each step."""
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    trainable, total = count_parameters(trained)
    history = [line for line in trainer.state.log_history if "loss" in line]
    cost = cost_of(history, plan.run_folder.output, plan.machine, peak_bytes)
    return Run(
        recipe=plan.recipe,
        trainable_parameters=trainable,
        total_parameters=total,
        cost=cost,
        losses=tuple(line["loss"] for line in history),
        before=before,
        after=after,
        hardware=plan.machine.as_dict() | {"precision": plan.precision},
        versions=versions(),
        data_fingerprint=plan.data_set.fingerprint,
        finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        folder=plan.folder,
        rows=rows.counts,
        loss_from=trainer.loss_from,
        without_gradient=cut_off_in(history),
        forecast=forecast_beside(
            plan.recipe,
            plan.precision,
            plan.machine.device,
            trainer.longest_row,
            cost.peak_bytes,
            laid_out_in(history),
        ),
    )
