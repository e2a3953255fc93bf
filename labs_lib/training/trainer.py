"""TRL's `SFTTrainer`, told how to be quick on a small machine and to measure what it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from labs_lib.files import write_text
from labs_lib.hardware import Hardware
from labs_lib.quantization import refuse_repacked
from labs_lib.training.evaluating import evaluating
from labs_lib.training.gates import recompute_gates
from labs_lib.training.head_loss import plain_head, summed_loss
from labs_lib.training.layout import NOT_LEARNT, attend_by_rows, lay_out, next_labels
from labs_lib.training.measure import LiveBytes, grad_bytes, memory_parts, resident_bytes
from labs_lib.training.progress import Progress
from labs_lib.training.recipe import Recipe

COMPLETE = "complete"
"""The file that a checkpoint folder holds once everything else in it is written."""


def lora_config(recipe: Recipe, target_modules: list[str], conv1d: bool = False) -> LoraConfig:
    """Return PEFT's configuration for the recipe; `conv1d` for GPT-2's transposed weights."""
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # pyright: ignore[reportArgumentType]  (PEFT divides; floats work)
        lora_dropout=recipe.dropout,
        bias=recipe.bias,
        target_modules=target_modules,
        use_rslora=recipe.rslora,
        fan_in_fan_out=conv1d,
    )


def sft_config(
    recipe: Recipe, steps: int, precision: str, hardware: Hardware, folder: Path
) -> SFTConfig:
    """Return the trainer's settings for the recipe.

    What differs from TRL's defaults and why: gradient checkpointing only if the recipe asks (it
    recomputes every forward pass), no hub or tracker, no progress bar of its own, a checkpoint
    every `checkpoint_every` steps of which two are kept, rows in our own order.
    """
    config = SFTConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant_with_warmup"
        if recipe.schedule == "constant"
        else recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        max_length=recipe.max_length,
        packing=False,
        gradient_checkpointing=recipe.checkpointing,
        use_cpu=hardware.device == "cpu",
        bf16=precision == "bf16",
        train_sampling_strategy="sequential",
        dataloader_pin_memory=hardware.device == "cuda",
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if recipe.checkpoint_every else "no",
        save_steps=recipe.checkpoint_every or 500,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        push_to_hub=False,
    )
    if config.n_gpu > 1:
        config._n_gpu = 1  # without a launcher `DataParallel` would split the batch, and our loss
    return config


class MeasuringTrainer(SFTTrainer):
    """`SFTTrainer` that times its steps, counts live bytes and marks whole checkpoints.

    Each log line gains `step_seconds`; the line of the longest batch gains `peak_bytes` and what
    it is made of. They live in the trainer's state, so a resumed run still knows them.
    """

    def __init__(
        self, *, recipe: Recipe, model: Any, peft_config: PeftConfig | None, **kwargs: Any
    ):
        super().__init__(model=model, peft_config=peft_config, **kwargs)
        self.remove_callback(PrinterCallback)
        refuse_repacked(self.model)
        attend_by_rows(self.model)
        recompute_gates(self.model)
        self._recipe = recipe
        self._measured_step = _longest_step(
            self.train_dataset, recipe.batch_size * recipe.accumulation
        )
        self._live_peak_bytes = 0
        self._gradients_bytes = 0
        self._step_started = 0.0
        self.add_callback(_StepClock(self))

    def measure_no_step(self) -> None:
        """Leave the byte counter off, for a benchmark that counts by itself."""
        self._measured_step = -1

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run one micro-batch; the longest step on a CPU runs under the byte counter."""
        if self.state.global_step != self._measured_step:
            return super().training_step(*args, **kwargs)
        if self.args.device.type == "cpu":
            before = resident_bytes(self.model) + grad_bytes(self.model)
            with LiveBytes() as counter:
                loss = super().training_step(*args, **kwargs)
            self._live_peak_bytes = max(self._live_peak_bytes, before + counter.peak_bytes)
        else:
            loss = super().training_step(*args, **kwargs)
        self._gradients_bytes = grad_bytes(self.model)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Take the held-out loss; training goes on as if it had not been asked for."""
        with evaluating(self.model):
            return super().evaluate(*args, **kwargs)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean loss of the labelled tokens, with logits at their positions alone.

        The same loss as TRL's, for a third of its time on a CPU: its fused head also computes
        each token's entropy and rank over the whole vocabulary, and every padded row goes through
        the layers whole (`layout`). `inputs`: `input_ids`, `attention_mask` and `labels`,
        each (batch, length), labels -100 where none.
        """
        rows = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if parts := plain_head(model):
            body, head = parts
            rows, targets = lay_out(body.config, **rows, labels=inputs["labels"])
            answers = targets != NOT_LEARNT
            with self.accelerator.autocast():
                hidden = body(**rows, use_cache=False).last_hidden_state[answers]
                loss = summed_loss(hidden, head.weight, targets[answers])
        else:
            targets = next_labels(inputs["labels"])
            answers = targets != NOT_LEARNT
            predicting = answers.any(dim=0).nonzero().flatten()
            logits = model(**rows, use_cache=False, logits_to_keep=predicting).logits
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), targets[:, predicting].flatten(), reduction="sum"
            )
        count = answers.sum() if num_items_in_batch is None else num_items_in_batch
        loss = loss / torch.as_tensor(count, device=loss.device).clamp(min=1)
        mode = "train" if model.training else "eval"
        if model.training:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was measured to the step's log line."""
        if "loss" in logs:
            logs["step_seconds"] = time.perf_counter() - self._step_started
            if self._gradients_bytes and self.state.global_step == self._measured_step + 1:
                parts = memory_parts(self.model, self.optimizer, self._gradients_bytes)
                logs["memory"] = parts  # pyright: ignore[reportArgumentType]
                if self._live_peak_bytes:
                    logs["peak_bytes"] = self._live_peak_bytes + parts["optimizer_bytes"]
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # SFTTrainer's own version writes a model card into the run's folder at every checkpoint;
        # go past it. A folder without the mark is one whose writing was cut short.
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir or "") / f"checkpoint-{self.state.global_step}"
        write_text(folder / COMPLETE, "")


class _StepClock(TrainerCallback):
    def __init__(self, trainer: MeasuringTrainer):
        self._trainer = trainer

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._trainer._step_started = time.perf_counter()


class TellProgress(TrainerCallback):
    """Pass each step's loss on to what the person sees."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Tell the step just logged; evaluations are not steps."""
        if logs and "loss" in logs:
            self._progress.step(state.global_step, state.max_steps, logs["loss"])


def latest_whole_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder` that was written to its end, or None."""
    whole = [mark.parent for mark in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _longest_step(dataset: Any, rows_per_step: int) -> int:
    lengths = [len(ids) for ids in dataset["input_ids"]]
    padded = [
        max(lengths[start : start + rows_per_step])
        for start in range(0, len(lengths), rows_per_step)
    ]
    return padded.index(max(padded))
