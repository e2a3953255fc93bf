"""`train(recipe)`: from a recipe to a finished run on disk, resumable at any moment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from labs_lib import data, hardware, models, paths
from labs_lib.errors import LabError, last_line
from labs_lib.files import expanded, write_json
from labs_lib.training.accounting import accelerator_peak_bytes, cost_of
from labs_lib.training.advice import does_not_fit
from labs_lib.training.encoding import (
    Encoder,
    check_prompts_within_tables,
    check_rows_within_tables,
    check_tokenizer,
    nothing_fits,
    rows_beyond,
)
from labs_lib.training.engine.evaluating import evaluating
from labs_lib.training.engine.order import count_steps, row_order
from labs_lib.training.engine.quiet import quiet_libraries
from labs_lib.training.engine.trainer import MeasuringTrainer, TellProgress, lora_config, sft_config
from labs_lib.training.evaluation import Evaluation, evaluate
from labs_lib.training.failures import (
    DivergedError,
    check_finite_weights,
    ran_out_of_memory,
    storage_errors,
)
from labs_lib.training.folder.before import read_before
from labs_lib.training.folder.checkpoints import NotWholeError, latest_whole_checkpoint
from labs_lib.training.folder.provenance import start_of, versions
from labs_lib.training.folder.run_folder import (
    CHECKPOINTS,
    RunFolder,
    place,
    sole_writer,
)
from labs_lib.training.folder.saving import (
    adapter_shapes,
    count_parameters,
    name_the_base,
    save_listing,
)
from labs_lib.training.learning import cut_off_in
from labs_lib.training.progress import Progress, default_progress
from labs_lib.training.recipe import Recipe
from labs_lib.training.refusals import check_targets, check_trainable
from labs_lib.training.run import RUN_FILE, Run

LOSS_ROWS = 24
"""Validation rows whose loss is taken before and after: enough for a trend, seconds on a CPU."""

MOST_PLACES = 20_000_000
"""Rows of all steps together; their order is a list in memory."""

KEPT = "; the last checkpoint is kept"


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
    course_set = _check_names(recipe)
    place(folder)
    if reuse and (earlier := _finished(folder, recipe, course_set)):
        return earlier
    progress = progress or default_progress()
    with sole_writer(folder), quiet_libraries():
        started_with = start_of(recipe, course_set, hardware.detect().device, _precision(recipe))
        run_folder = RunFolder.claim(folder, recipe, started_with, resume)
        if run_folder.resumed and (earlier := _finished(folder, recipe, course_set)):
            run_folder.tidy()
            return earlier
        try:
            return _train(recipe, course_set, run_folder, folder, progress, before)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            on_gpu = isinstance(error, torch.OutOfMemoryError)
            raise does_not_fit(recipe, _precision(recipe), str(error), on_gpu) from None
        finally:
            run_folder.withdraw()
            progress.close()


def _finished(folder: Path, recipe: Recipe, course_set: data.DataSet) -> Run | None:
    if not (folder / RUN_FILE).exists():
        return None
    run = Run.load(folder)
    same = (run.recipe, run.versions, run.data_fingerprint)
    wanted = (recipe, versions(), course_set.fingerprint)
    return run if same == wanted and run.output.is_dir() else None


def _check_names(recipe: Recipe) -> data.DataSet:
    """Find the model, its modules and the data by name, before a folder is made for the run."""
    models.locate(recipe.model)
    known = models.find(recipe.model)
    if known is not None and recipe.method != "full":
        models.resolve_targets(known, recipe.target_modules)
    return data.resolve(recipe.dataset)


def _train(
    recipe: Recipe,
    course_set: data.DataSet,
    run_folder: RunFolder,
    folder: Path,
    progress: Progress,
    before: Evaluation | None,
) -> Run:
    machine = hardware.detect()
    precision = _precision(recipe)
    scorers = data.scorers(course_set.name)
    test_rows = course_set.test[: recipe.eval_rows]

    progress.stage(f"loading {recipe.model}")
    set_seed(recipe.seed)
    model, tokenizer, trainer, rows = _prepare(
        recipe, machine, precision, course_set, run_folder, progress
    )
    run_folder.begin()  # from here on there is something to put in an earlier run's place

    known = before
    if run_folder.before_file.exists() and known is None:
        with_loss = trainer.eval_dataset is not None
        known = read_before(run_folder.before_file, test_rows, scorers, with_loss)
        if known is None:
            progress.stage(f"{run_folder.before_file.name} is damaged: asking the base model again")
    if known is None:
        progress.stage(f"answering {len(test_rows)} held-out prompts before training")
        # B = 0 (and nothing trained yet), so the wrapped model still is the base model.
        known = _evaluate(trainer, model, tokenizer, test_rows, scorers, recipe)
        if not math.isfinite(known.loss or 0):
            raise LabError(
                f"model: the loss of {recipe.model} is {known.loss} before anything is trained; "
                "its weights are damaged"
            )
    write_json(run_folder.before_file, known.as_dict())

    progress.stage("training")
    try:
        _run_steps(trainer, recipe, run_folder, machine, progress)
        peak_bytes = accelerator_peak_bytes(machine)  # before answers are written
        trained = trainer.accelerator.unwrap_model(trainer.model)
        check_finite_weights(trained, recipe, trainer.state.global_step)
        progress.stage(f"answering {len(test_rows)} held-out prompts after training")
        after = _evaluate(trainer, trained, tokenizer, test_rows, scorers, recipe)
        if not math.isfinite(after.loss or 0):
            raise DivergedError(
                recipe, trainer.state.global_step, f"the held-out loss is {after.loss}"
            )
    except DivergedError as error:
        error.before, error.trainable_parameters = known, count_parameters(model)[0]
        raise

    trainer.put_config_back()
    with storage_errors(run_folder.output, KEPT):
        saved = save_listing(trained, run_folder.output, recipe.model, tokenizer)
    trainable, total = count_parameters(trained)
    history = [line for line in trainer.state.log_history if "loss" in line]
    run = Run(
        recipe=recipe,
        trainable_parameters=trainable,
        total_parameters=total,
        cost=cost_of(history, run_folder.output, machine, peak_bytes),
        losses=tuple(line["loss"] for line in history),
        before=known,
        after=after,
        hardware=machine.as_dict() | {"precision": precision},
        versions=versions(),
        data_fingerprint=course_set.fingerprint,
        finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        folder=folder,
        rows=rows,
        loss_from=trainer.loss_from,
        without_gradient=cut_off_in(history),
    )
    run_folder.finish(run.as_dict(), saved)
    return run


def _run_steps(
    trainer: MeasuringTrainer,
    recipe: Recipe,
    run_folder: RunFolder,
    machine: hardware.Hardware,
    progress: Progress,
) -> None:
    """Take the optimiser's steps, from the newest whole checkpoint on."""
    checkpoint = latest_whole_checkpoint(
        run_folder.checkpoints,
        progress.stage,
        trainer.args.max_steps,
        recipe.batch_size,
        adapter_shapes(trainer.model),
    )
    # Evaluating draws from the random state; a run killed after it and resumed did not evaluate.
    set_seed(recipe.seed)
    if machine.device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # an earlier run of this process may have used more
    try:
        with storage_errors(run_folder.checkpoints, KEPT):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        # A checkpoint is a stranger's file; what it broke shows before the first step.
        ours = isinstance(error, LabError) and not isinstance(error, NotWholeError)
        if checkpoint is None or trainer.began or ours or ran_out_of_memory(error):
            raise
        raise LabError(
            f"--resume: {checkpoint.name} cannot be gone on from: {last_line(error)}; remove it to "
            "go on from the one before"
        ) from error


def _prepare(
    recipe: Recipe,
    machine: hardware.Hardware,
    precision: str,
    course_set: data.DataSet,
    run_folder: RunFolder,
    progress: Progress,
) -> tuple[Any, Any, MeasuringTrainer, dict[str, Any]]:
    """Put the rows in the run's order and build model, tokenizer and trainer.

    Returns them and the count of the rows that were used, cut and dropped.
    """
    tokenizer = models.load_tokenizer(recipe.model)
    check_tokenizer(tokenizer, recipe.model)
    encoder = Encoder(tokenizer, recipe.max_length, recipe.model)
    given = course_set.train[: recipe.train_rows]
    rows, fit = encoder.fitting(given)
    if not given:
        raise LabError(f"dataset: {recipe.dataset} has no training rows")
    if not rows:
        raise nothing_fits(given, encoder)
    validation, validation_fit = encoder.fitting(course_set.validation[:LOSS_ROWS])
    if course_set.notes:  # data that the course does not know by heart
        for note in (str(course_set), *course_set.notes):
            progress.stage(f"data: {note}")
    for split, split_fit in (("training", fit), ("validation", validation_fit)):
        if line := rows_beyond(recipe.max_length, split, split_fit):
            progress.stage(line)
    rows_per_step = recipe.batch_size * recipe.accumulation
    steps = count_steps(len(rows), rows_per_step, recipe.steps, recipe.epochs)
    if steps * rows_per_step > MOST_PLACES:
        raise LabError(
            f"steps: {steps:,} of {rows_per_step:,} rows are more than the {MOST_PLACES:,} rows "
            "that a run may see; give fewer steps or a smaller batch_size × accumulation"
        )
    lengths = [len(row.prompt) + len(row.completion) for row in rows]
    order = row_order(lengths, rows_per_step, steps, recipe.seed)
    prompts = course_set.test[: recipe.eval_rows]
    encoder.prompts_ids(prompts)  # a template that refuses one does so now, not after training
    model, tokenizer, trainer = build_trainer(
        recipe,
        [rows[index] for index in order],
        validation,
        machine,
        precision,
        run_folder.work,
        encoder,
    )
    check_prompts_within_tables(model, recipe.model, encoder, prompts, recipe.eval_tokens)
    trainer.add_callback(TellProgress(progress))
    counts = {"train": fit.as_dict(), "validation": validation_fit.as_dict()}
    return model, tokenizer, trainer, {"max_length": recipe.max_length, **counts}


def build_trainer(
    recipe: Recipe,
    rows: Sequence[data.Row],
    validation: Sequence[data.Row],
    machine: hardware.Hardware,
    precision: str,
    folder: Path,
    encoder: Encoder | None = None,
) -> tuple[Any, Any, MeasuringTrainer]:
    """Load the model and build the trainer around it, adapter included.

    `rows` are taken in their order, `batch_size × accumulation` a step; `precision` is "bf16" or
    "fp32"; checkpoints go to `folder`; `encoder` is the model's, where one is at hand. Returns the
    model as the trainer wrapped it, the tokenizer and the trainer.
    """
    if encoder is None:
        encoder = Encoder(models.load_tokenizer(recipe.model), recipe.max_length, recipe.model)
    model = models.load_model(
        recipe.model, dtype=_weight_dtype(recipe, precision), quantization=_quantization(recipe)
    )
    check_trainable(model, recipe)
    check_rows_within_tables(model, recipe.model, encoder, [*rows, *validation])
    peft_config = None
    if recipe.method != "full":
        targets = models.resolve_targets(model, recipe.target_modules)
        check_targets(model, targets, recipe)
        peft_config = lora_config(recipe, targets, conv1d=_is_conv1d(model, targets[0]))
    if recipe.method == "qlora":
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.checkpointing
        )
    steps = len(rows) // (recipe.batch_size * recipe.accumulation)
    trainer = MeasuringTrainer(
        recipe=recipe,
        model=model,
        peft_config=peft_config,
        args=sft_config(recipe, steps, precision, machine, folder / CHECKPOINTS),
        train_dataset=encoder.dataset(rows),
        eval_dataset=encoder.dataset(validation) if validation else None,
        processing_class=encoder.tokenizer,
    )
    wrapped: Any = trainer.model
    if recipe.method == "qlora":
        # TRL rounds a 4-bit model's adapter to bf16. It is trained in fp32, as LoRA's is: on every
        # machine, and after a checkpoint, which PEFT reads back in fp32.
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    name_the_base(wrapped, recipe.model)
    return wrapped, encoder.tokenizer, trainer


def _evaluate(
    trainer: MeasuringTrainer,
    model: Any,
    tokenizer: Any,
    rows: Sequence[data.Row],
    scorers: Mapping[str, Any],
    recipe: Recipe,
) -> Evaluation:
    loss = trainer.evaluate()["eval_loss"] if trainer.eval_dataset is not None else None
    with evaluating(model, fold=True):
        return evaluate(model, tokenizer, rows, scorers, recipe.eval_tokens, loss)


def _precision(recipe: Recipe) -> str:
    return hardware.detect().precision if recipe.precision == "auto" else recipe.precision


def _weight_dtype(recipe: Recipe, precision: str) -> torch.dtype:
    # Full fine-tuning keeps fp32 master weights; a frozen base needs none.
    return torch.bfloat16 if precision == "bf16" and recipe.method != "full" else torch.float32


def _quantization(recipe: Recipe) -> Any:
    if recipe.method != "qlora":
        return None
    from labs_lib.quantization import qlora_config

    return qlora_config(quant_type=recipe.quantization, double_quant=recipe.double_quantization)


def _is_conv1d(model: Any, target: str) -> bool:
    return any(
        name.endswith(target) and module.__class__.__name__ == "Conv1D"
        for name, module in model.named_modules()
    )
