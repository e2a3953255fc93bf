"""`train(recipe)`: from a recipe to a finished run on disk, resumable at any moment.

The way of a run, as `_train` goes it: encode the rows, set up model and trainer, ask the base
model, take the steps, ask the trained model, save, record. `plain.py` goes the same way with
nothing but transformers, PEFT and a loop.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from transformers import set_seed

from labs_lib import data, hardware, models, paths
from labs_lib.errors import LabError
from labs_lib.files import expanded
from labs_lib.quiet import quiet_libraries
from labs_lib.training.accounting import accelerator_peak_bytes, cost_of
from labs_lib.training.advice import does_not_fit
from labs_lib.training.encoding import check_prompts_within_tables
from labs_lib.training.engine.building import build_trainer
from labs_lib.training.engine.longest import longest_batch
from labs_lib.training.engine.stopping import KeepBest
from labs_lib.training.engine.trainer import MeasuringTrainer, TellProgress
from labs_lib.training.evaluation import Evaluation
from labs_lib.training.failures import (
    DivergedError,
    check_finite_weights,
    free_memory,
    ran_out_of_memory,
    ran_out_on_gpu,
    storage_errors,
)
from labs_lib.training.folder.provenance import start_of, versions
from labs_lib.training.folder.run_folder import RunFolder, place, sole_writer
from labs_lib.training.folder.saving import count_parameters, save_listing
from labs_lib.training.forecasting import LongestBatch, forecast_beside, laid_out_in
from labs_lib.training.held_out import HeldOut
from labs_lib.training.learning import cut_off_in
from labs_lib.training.processes.ranks import ONE, Ranks
from labs_lib.training.processes.report import check_shared, shared_run
from labs_lib.training.processes.trainer import RankTrainer
from labs_lib.training.progress import Progress, Silent, default_progress
from labs_lib.training.recipe import Recipe
from labs_lib.training.resuming import KEPT, take_steps
from labs_lib.training.rows import RunRows, encode_rows
from labs_lib.training.run import RUN_FILE, Run


@dataclass(frozen=True)
class RunPlan:
    """What a run is to be, and where, before anything is loaded.

    `folder` is the place as it was given, `run_folder` what is written there; `precision` is
    "bf16" or "fp32"; `longest_batch` is filled in once the rows are encoded.
    """

    recipe: Recipe
    data_set: data.DataSet
    machine: hardware.Hardware
    precision: str
    folder: Path
    run_folder: RunFolder
    progress: Progress
    longest_batch: LongestBatch
    ranks: Ranks = ONE


def train(
    recipe: Recipe,
    folder: str | Path | None = None,
    resume: bool = False,
    reuse: bool = False,
    progress: Progress | None = None,
    before: Evaluation | None = None,
    ranks: Ranks = ONE,
) -> Run:
    """Fine-tune by `recipe` and return the finished run.

    `folder` (by default one named after the recipe in the course's data folder) receives
    `adapter/` (`model/` after full fine-tuning) and `run.json`. An earlier run in it stays until
    this one is finished, and a file that no run wrote stays for good. With `resume` the run goes
    on from its last whole checkpoint and, on a CPU, ends with the very adapter that an
    uninterrupted run ends with; a run that began with other data, model files or versions is
    refused. With `reuse` a finished run of this very recipe,
    data and library versions is read back instead of trained again. `before` is the base model's
    evaluation on the same rows, where an earlier run has it. With `ranks` several processes share
    each step; all of them call this, and the first writes. Raises `LabError` for input that
    cannot work, for a full disk, for memory that does not do (with what to change) and, as
    `DivergedError`, for a loss that is no number; the last checkpoint is kept.
    """
    folder = expanded(folder) if folder is not None else paths.runs_dir() / recipe.name
    data_set = _locate(recipe)
    place(folder)
    if reuse and (finished := _finished(folder, recipe, data_set)):
        return finished
    check_shared(recipe, ranks)
    progress = (progress or default_progress()) if ranks.first else Silent()
    why = recipe.adapter.training.no_resuming if recipe.adapter else ""
    if resume and why and not _finished(folder, recipe, data_set):
        raise LabError(f"--resume: a run by {recipe.method} cannot be gone on from: {why}")
    with ExitStack() as lock, quiet_libraries():
        machine = hardware.detect()
        precision = recipe.precision_on(machine)
        started_with = start_of(recipe, data_set, machine.device, precision)

        def claimed() -> tuple[RunFolder, Run | None]:
            lock.enter_context(sole_writer(folder))
            run_folder = RunFolder.claim(folder, recipe, started_with, resume)
            finished = _finished(folder, recipe, data_set) if run_folder.resumed else None
            if finished:
                run_folder.tidy()
            return run_folder, finished

        run_folder, finished = ranks.from_first(claimed)
        if finished:
            return finished
        if not ranks.first:
            run_folder = run_folder.for_readers()
        longest = LongestBatch(machine.device)
        plan = RunPlan(
            recipe, data_set, machine, precision, folder, run_folder, progress, longest, ranks
        )
        try:
            return _train(plan, before)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            told = does_not_fit(recipe, precision, str(error), ran_out_on_gpu(error), longest)
        finally:
            run_folder.withdraw()
            progress.close()
    # Raised within `except` it would keep the error's frames, and with them model and optimizer: a
    # notebook remembers its last error, and the next, smaller run would find the GPU full.
    free_memory()
    raise told


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
    ranks = plan.ranks
    held_out = HeldOut.of(recipe, plan.data_set)

    progress.stage(f"loading {recipe.model}")
    set_seed(recipe.seed)
    rows = encode_rows(recipe, plan.data_set, progress.stage)
    trainer = _set_up(plan, rows)
    plan.longest_batch.longest_row = trainer.longest_row
    plan.longest_batch.laid_out = longest_batch(trainer, recipe.batch_size)
    run_folder.begin()  # from here on there is something to put in an earlier run's place

    before_file = run_folder.before_file
    before = held_out.before_training(trainer, recipe, before_file, progress, before, ranks)

    progress.stage("training")
    try:
        curve = take_steps(trainer, recipe, run_folder, plan.machine, progress, ranks)
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
    weights = trainer.gather_weights() if isinstance(trainer, RankTrainer) else None

    def saved() -> list[str]:
        with storage_errors(run_folder.output, KEPT):
            return save_listing(
                trained,
                run_folder.output,
                recipe.model,
                trainer.processing_class,
                weights,
                trainer.began_as,
            )

    files = ranks.from_first(saved)
    run = replace(_record(plan, rows, trainer, before, after, peak_bytes), validation_curve=curve)
    if isinstance(trainer, RankTrainer):
        run = shared_run(run, trainer, plan.precision, plan.machine.device)
    ranks.from_first(lambda: run_folder.finish(run.as_dict(), files))
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
        plan.ranks,
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
