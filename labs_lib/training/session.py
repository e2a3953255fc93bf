"""`train(recipe)`: from a recipe to a finished run on disk, resumable at any moment."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import filelock
import torch
from transformers import set_seed

from labs_lib import data, hardware, models, paths
from labs_lib.errors import LabError
from labs_lib.files import folder_written_aside, friendly_os_errors, write_json
from labs_lib.training.advice import does_not_fit
from labs_lib.training.evaluating import evaluating
from labs_lib.training.evaluation import Evaluation, evaluate
from labs_lib.training.measure import process_peak_bytes
from labs_lib.training.order import count_steps, row_order
from labs_lib.training.progress import Progress, default_progress
from labs_lib.training.quiet import quiet_libraries
from labs_lib.training.recipe import Recipe
from labs_lib.training.run import ADAPTER_FOLDER, MODEL_FOLDER, RUN_FILE, Cost, Run
from labs_lib.training.trainer import (
    MeasuringTrainer,
    TellProgress,
    latest_whole_checkpoint,
    lora_config,
    sft_config,
)

LOSS_ROWS = 24
"""Validation rows whose loss is taken before and after: enough for a trend, seconds on a CPU."""

BEFORE_FILE = "before.json"

PEAK_KINDS = {"cuda": "CUDA allocator", "mps": "Metal driver", "cpu": "live tensors"}

PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "datasets")


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
    `adapter/` (`model/` after full fine-tuning) and `run.json`; an earlier run in it is replaced.
    With `resume` the run goes on from its last whole checkpoint and, on a CPU, ends with the very
    adapter that an uninterrupted run ends with. With `reuse` a finished run of this very recipe,
    data and library versions is read back instead of trained again. `before` is the base model's
    evaluation on the same rows, where an earlier run has it. Raises `LabError` for input that
    cannot work, and on CUDA for a model that does not fit, with what to change; the last
    checkpoint is kept.
    """
    folder = Path(folder) if folder is not None else paths.runs_dir() / recipe.name
    course_set = _check_names(recipe)
    if reuse and (earlier := _finished(folder, recipe, course_set)):
        return earlier
    progress = progress or default_progress()
    with _sole_writer(folder), quiet_libraries():
        _claim(folder, recipe, resume)
        if before is not None:
            write_json(folder / BEFORE_FILE, before.as_dict())
        try:
            return _train(recipe, course_set, folder, progress)
        except torch.OutOfMemoryError as error:
            raise does_not_fit(recipe, _precision(recipe), str(error)) from None
        finally:
            progress.close()


def _finished(folder: Path, recipe: Recipe, course_set: data.DataSet) -> Run | None:
    if not (folder / RUN_FILE).exists():
        return None
    run = Run.load(folder)
    same = (run.recipe, run.versions, run.data_fingerprint)
    return run if same == (recipe, versions(), course_set.fingerprint) else None


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _check_names(recipe: Recipe) -> data.DataSet:
    """Find the model, its modules and the data by name, before a folder is made for the run."""
    models.locate(recipe.model)
    known = models.find(recipe.model)
    if known is not None and recipe.method != "full":
        models.resolve_targets(known, recipe.target_modules)
    return data.resolve(recipe.dataset)


def _train(recipe: Recipe, course_set: data.DataSet, folder: Path, progress: Progress) -> Run:
    machine = hardware.detect()
    precision = _precision(recipe)
    scorers = data.scorers(course_set.name)
    test_rows = course_set.test[: recipe.eval_rows]

    progress.stage(f"loading {recipe.model}")
    set_seed(recipe.seed)
    model, tokenizer, trainer = _prepare(recipe, machine, precision, course_set, folder, progress)

    before_file = folder / BEFORE_FILE
    if before_file.exists():
        before = Evaluation.from_dict(json.loads(before_file.read_text(encoding="utf-8")))
    else:
        progress.stage(f"answering {len(test_rows)} held-out prompts before training")
        # B = 0 (and nothing trained yet), so the wrapped model still is the base model.
        before = _evaluate(trainer, model, tokenizer, test_rows, scorers, recipe)
        write_json(before_file, before.as_dict())

    progress.stage("training")
    checkpoint = latest_whole_checkpoint(folder / "checkpoints")
    # Evaluating draws from the random state; a run killed after it and resumed did not evaluate.
    set_seed(recipe.seed)
    if machine.device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # an earlier run of this process may have used more
    with friendly_os_errors(folder / "checkpoints"):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    accelerator_peak_bytes = _accelerator_peak_bytes(machine)  # before answers are written
    trained = trainer.accelerator.unwrap_model(trainer.model)

    progress.stage(f"answering {len(test_rows)} held-out prompts after training")
    after = _evaluate(trainer, trained, tokenizer, test_rows, scorers, recipe)

    output = folder / (MODEL_FOLDER if recipe.method == "full" else ADAPTER_FOLDER)
    save(trained, output, recipe.model, tokenizer)
    trainable, total = count_parameters(trained)
    history = [line for line in trainer.state.log_history if "loss" in line]
    run = Run(
        recipe=recipe,
        trainable_parameters=trainable,
        total_parameters=total,
        cost=_cost(history, output, machine, accelerator_peak_bytes),
        losses=tuple(line["loss"] for line in history),
        before=before,
        after=after,
        hardware=machine.as_dict() | {"precision": precision},
        versions=versions(),
        data_fingerprint=course_set.fingerprint,
        finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        folder=folder,
    )
    write_json(folder / RUN_FILE, run.as_dict())
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return run


def _prepare(
    recipe: Recipe,
    machine: hardware.Hardware,
    precision: str,
    course_set: data.DataSet,
    folder: Path,
    progress: Progress,
) -> tuple[Any, Any, MeasuringTrainer]:
    """Put the rows in the run's order and build model, tokenizer and trainer."""
    rows = course_set.train[: recipe.train_rows]
    rows_per_step = recipe.batch_size * recipe.accumulation
    steps = count_steps(len(rows), rows_per_step, recipe.steps, recipe.epochs)
    lengths = [len(row.prompt) + len(row.completion) for row in rows]
    order = row_order(lengths, rows_per_step, steps, recipe.seed)
    model, tokenizer, trainer = build_trainer(
        recipe,
        [rows[index] for index in order],
        course_set.validation[:LOSS_ROWS],
        machine,
        precision,
        folder,
    )
    trainer.add_callback(TellProgress(progress))
    return model, tokenizer, trainer


def build_trainer(
    recipe: Recipe,
    rows: Sequence[data.Row],
    validation: Sequence[data.Row],
    machine: hardware.Hardware,
    precision: str,
    folder: Path,
) -> tuple[Any, Any, MeasuringTrainer]:
    """Load the model and build the trainer around it, adapter included.

    `rows` are taken in their order, `batch_size × accumulation` a step; `precision` is "bf16" or
    "fp32"; checkpoints go to `folder`. Returns the model as the trainer wrapped it, the tokenizer
    and the trainer.
    """
    model, tokenizer = models.load(
        recipe.model, dtype=_weight_dtype(recipe, precision), quantization=_quantization(recipe)
    )
    peft_config = None
    if recipe.method != "full":
        targets = models.resolve_targets(model, recipe.target_modules)
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
        args=sft_config(recipe, steps, precision, machine, folder / "checkpoints"),
        train_dataset=data.to_hf(rows),
        eval_dataset=data.to_hf(validation) if validation else None,
        processing_class=tokenizer,
    )
    wrapped: Any = trainer.model
    if recipe.method == "qlora":
        # TRL rounds a 4-bit model's adapter to bf16. It is trained in fp32, as LoRA's is: on every
        # machine, and after a checkpoint, which PEFT reads back in fp32.
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    _name_the_base(wrapped, recipe.model)
    return wrapped, tokenizer, trainer


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


def save(model: Any, folder: Path, base_name: str, tokenizer: Any = None) -> None:
    """Save an adapter (or a whole model) as safetensors; the folder is whole or absent."""
    from peft import PeftModel

    with folder_written_aside(folder) as aside:
        if isinstance(model, PeftModel):
            _name_the_base(model, base_name)
            # "auto" would ask a hub whether the vocabulary grew.
            model.save_pretrained(str(aside), save_embedding_layers=False)
            (aside / "README.md").unlink(missing_ok=True)
        else:
            model.save_pretrained(aside)
            if tokenizer is not None:
                tokenizer.save_pretrained(aside)


def count_parameters(model: Any) -> tuple[int, int]:
    """Return (trainable, total) parameters; packed 4-bit weights count as what they stand for."""
    if hasattr(model, "get_nb_trainable_parameters"):
        return model.get_nb_trainable_parameters()
    return (
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        model.num_parameters(),
    )


def _name_the_base(model: Any, base_name: str) -> None:
    """Record the base by its name, so that no adapter carries a path of this machine."""
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = base_name


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


def _accelerator_peak_bytes(machine: hardware.Hardware) -> int:
    if machine.device == "cuda":
        return torch.cuda.max_memory_allocated()
    return torch.mps.driver_allocated_memory() if machine.device == "mps" else 0


def _cost(
    history: list[dict[str, Any]],
    output: Path,
    machine: hardware.Hardware,
    accelerator_peak_bytes: int,
) -> Cost:
    seconds = [line["step_seconds"] for line in history]
    tokens = int(history[-1]["num_tokens"])
    peak, kind = accelerator_peak_bytes, PEAK_KINDS[machine.device]
    if machine.device == "cpu":
        peak = max((line.get("peak_bytes", 0) for line in history), default=0)
    parts = next((line["memory"] for line in history if "memory" in line), {})
    return Cost(
        train_seconds=sum(seconds),
        seconds_per_step=sorted(seconds)[len(seconds) // 2],
        tokens=tokens,
        tokens_per_second=tokens / sum(seconds),
        peak_bytes=peak,
        peak_kind=kind,
        process_peak_bytes=process_peak_bytes(),
        memory=parts | {"activations_bytes": max(0, peak - sum(parts.values()))},
        adapter_bytes=sum(file.stat().st_size for file in output.glob("*.safetensors")),
    )


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    with friendly_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.parent / f".{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise LabError(
                f"run: another run is writing {folder}; wait for it or give --out"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _claim(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Make the run's folder; keep what is in it only to resume the same recipe."""
    note = folder / "recipe.json"
    if folder.exists() and not folder.is_dir():
        raise LabError(f"run: {folder} is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not note.exists():
        raise LabError(
            f"run: {folder} holds files that are no run of this course; give another --out"
        )
    if resume and note.exists():
        _same_recipe(recipe, json.loads(note.read_text(encoding="utf-8")))
        return
    with friendly_os_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    write_json(note, recipe.model_dump())


def _same_recipe(recipe: Recipe, earlier: dict[str, Any]) -> None:
    for name, value in recipe.model_dump().items():
        if earlier.get(name) != value:
            raise LabError(
                f"--resume: {name} is {value!r}, but the run to resume has {earlier.get(name)!r}; "
                "resume with the same recipe or start anew"
            )
