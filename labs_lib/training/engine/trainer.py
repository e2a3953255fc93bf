"""TRL's `SFTTrainer`, told how to be quick on a small machine and to measure what it does."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig
from typing_extensions import override

from labs_lib.hardware import Hardware
from labs_lib.memory import LaidOut
from labs_lib.quantization import refuse_repacked
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.training.engine.adapting import AdaptingTrainer, TellMethod, training_of
from labs_lib.training.engine.evaluating import evaluating, random_state_kept
from labs_lib.training.engine.gates import keep_gates, recompute_gates
from labs_lib.training.engine.head_loss import plain_head, summed_loss
from labs_lib.training.engine.in_bf16 import compute_at_once, compute_in_steps
from labs_lib.training.engine.kept_memory import memory_kept
from labs_lib.training.engine.layout import (
    NOT_LEARNT,
    attend_apart,
    attend_by_rows,
    laid_out,
    lay_out,
    next_labels,
)
from labs_lib.training.engine.loss_check import (
    ALL_LOGITS,
    AT_ANSWERS,
    QUICK,
    choose_way,
    keep_if_near,
    own_logits,
    probe_batch,
)
from labs_lib.training.engine.measure import LiveBytes, grad_bytes, memory_parts, resident_bytes
from labs_lib.training.engine.tied_words import added_to_head, has_one_table
from labs_lib.training.failures import StopWhenDiverged
from labs_lib.training.learning import without_gradient
from labs_lib.training.progress import Progress
from labs_lib.training.recipe import Recipe
from labs_lib.training.refusals import refused_by_libraries


def sft_config(
    recipe: Recipe, steps: int, precision: str, hardware: Hardware, folder: Path
) -> SFTConfig:
    """Return the trainer's settings for the recipe.

    What differs from TRL's defaults and why: gradient checkpointing only if the recipe asks (it
    recomputes every forward pass), no hub or tracker, no progress bar of its own, a checkpoint
    every `checkpoint_every` steps, rows in our own order.
    """
    checkpoints = recipe.checkpoint_every and not training_of(recipe).no_resuming
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
        optim=OPTIMIZERS[recipe.optimizer].optim or "",
        train_sampling_strategy="sequential",
        dataloader_pin_memory=hardware.device == "cuda",
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if recipe.eval_every else "no",
        eval_steps=recipe.eval_every or None,
        save_strategy="steps" if checkpoints else "no",
        save_steps=recipe.checkpoint_every or 500,
        report_to="none",
        disable_tqdm=True,
        push_to_hub=False,
    )
    if config.n_gpu > 1:
        config._n_gpu = 1  # without a launcher `DataParallel` would split the batch, and our loss
    return config


class MeasuringTrainer(AdaptingTrainer):
    """`SFTTrainer` that times its steps, counts live bytes and writes whole checkpoints.

    Each log line gains `step_seconds`; the first also names the adapter's tensors that are
    `without_gradient`, and that of the longest batch gains `peak_bytes`, what it is made of, and
    how the largest of its micro-batches was laid out. Of a run that may stop early it is the
    longest of the steps that are sure to be taken.
    They live in the trainer's state, so a resumed run still knows them.

    A mixture of experts learns without the auxiliary loss that balances its experts: an adapter
    leaves the router as it is, and full fine-tuning here is too short to unbalance it.
    """

    _counter = LiveBytes

    def __init__(
        self, *, recipe: Recipe, model: Any, peft_config: PeftConfig | None, **kwargs: Any
    ):
        self._text_config = model.config.get_text_config()
        self._router_logits = getattr(self._text_config, "output_router_logits", None)
        with refused_by_libraries(recipe):
            super().__init__(model=model, peft_config=peft_config, **kwargs)
        if self._router_logits is not None:
            self.aux_loss_enabled = self._text_config.output_router_logits = False
        self.remove_callback(PrinterCallback)
        refuse_repacked(self.model)
        self._recipe = recipe
        self._measured_step, self.longest_row = _longest_step(
            self.train_dataset, recipe.rows_per_step, _sure_steps(recipe)
        )
        self._laid_out: LaidOut | None = None
        self._logits_in_fp32 = False
        self.loss_from = self._choose_way()
        self._live_peak_bytes = 0
        self._gradients_bytes = 0
        self._step_started = 0.0
        self._without_gradient: list[str] | None = None
        self.add_callback(_StepClock(self))
        self.add_callback(StopWhenDiverged(recipe))
        if after_step := training_of(recipe).after_step:
            self.add_callback(TellMethod(after_step))

    def put_config_back(self) -> None:
        """Give the model's configuration what it came with, before the model is saved."""
        if self._router_logits is not None:
            self._text_config.output_router_logits = self._router_logits

    def measure_no_step(self) -> None:
        """Leave the byte counter off, for a benchmark that counts by itself."""
        self._measured_step = -1

    @override
    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, with the memory of every weight's gradient kept from step to step."""
        on_cpu = self._recipe.trains_all and self.args.device.type == "cpu"
        with memory_kept(on_cpu), added_to_head(self.model, self.words_added):
            return super().train(*args, **kwargs)

    @property
    def words_added(self) -> bool:
        """Whether the words' gradients are added to the head's, as `LaidOut` says."""
        alone = self.args.device.type == "cpu" and self.args.world_size == 1
        return alone and self.loss_from == QUICK and has_one_table(self.model)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run one micro-batch; the longest step on a CPU runs under the byte counter."""
        if self.state.global_step != self._measured_step:
            return super().training_step(*args, **kwargs)
        if self.args.device.type == "cpu":
            before = resident_bytes(self.model) + grad_bytes(self.model)
            with self._counter() as counter:
                loss = super().training_step(*args, **kwargs)
            self._live_peak_bytes = max(self._live_peak_bytes, before + counter.peak_bytes)
        else:
            loss = super().training_step(*args, **kwargs)
        self._gradients_bytes = grad_bytes(self.model)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Take the held-out loss; training goes on as if it had not been asked for."""
        # A data loader draws a seed for itself, even where it shuffles nothing.
        with evaluating(self.model), random_state_kept():
            return super().evaluate(*args, **kwargs)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean loss of the labeled tokens, with logits at their positions alone.

        The same loss as TRL's, for a third of its time on a CPU: its fused head also computes
        each token's entropy and rank over the whole vocabulary, and every padded row goes through
        the layers whole (`layout`). `inputs`: `input_ids`, `attention_mask` and `labels`,
        each (batch, length), labels -100 where none.
        """
        loss = self._summed_loss(model, inputs, self.loss_from)
        count = num_items_in_batch
        if count is None:
            count = (next_labels(inputs["labels"]) != NOT_LEARNT).sum()
        loss = loss / torch.as_tensor(count, device=loss.device).clamp(min=1)
        loss = self.with_extra_loss(loss, model)
        mode = "train" if model.training else "eval"
        if model.training:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, {}) if return_outputs else loss

    def _summed_loss(self, model: Any, inputs: dict[str, Any], way: str) -> torch.Tensor:
        """Return the summed loss of the labeled tokens, one of `loss_check.WAYS`."""
        rows = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if way == QUICK and (parts := plain_head(model)):
            body, head = parts
            rows, targets = lay_out(body.config, **rows, labels=inputs["labels"])
            if self.state.global_step == self._measured_step and model.training:
                sizes = (self._laid_out, laid_out(rows, targets, self.words_added))
                self._laid_out = max(filter(None, sizes), key=lambda each: each.tokens)
            answers = targets != NOT_LEARNT
            with self.accelerator.autocast():
                hidden = body(**rows, use_cache=False).last_hidden_state[answers]
                return summed_loss(
                    hidden, head.weight, targets[answers], logits_in_fp32=self._logits_in_fp32
                )
        targets = next_labels(inputs["labels"])
        predicting = (targets != NOT_LEARNT).any(dim=0).nonzero().flatten()
        with self.accelerator.autocast():
            if way == ALL_LOGITS:
                logits = own_logits(model, inputs)[0][:, predicting]
            else:
                logits = model(**rows, use_cache=False, logits_to_keep=predicting).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets[:, predicting].flatten(), reduction="sum"
        )

    def _choose_way(self) -> str:
        """Change the model for the quick loss if that is its own; return which loss is taken."""

        def speed_up() -> None:
            attend_by_rows(self.model)
            recompute_gates(self.model)

        def slow_down() -> None:
            attend_apart(self.model)
            keep_gates(self.model)

        def round_otherwise() -> None:
            compute_at_once(model)
            self._logits_in_fp32 = True

        def round_as_before() -> None:
            compute_in_steps(model)
            self._logits_in_fp32 = False

        model: Any = self.model
        batch = probe_batch(self.train_dataset, self.data_collator, model)
        batch = {name: value.to(model.device) for name, value in batch.items()}
        dtype = torch.bfloat16 if self.args.bf16 else next(model.parameters()).dtype
        with self.accelerator.autocast():
            way = choose_way(self.model, batch, self._summed_loss, speed_up, slow_down, dtype)
            if way == QUICK and self.args.bf16 and self.args.device.type == "cpu":
                keep_if_near(model, batch, self._summed_loss, round_otherwise, round_as_before)
        return AT_ANSWERS if way == QUICK and plain_head(self.model) is None else way

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was measured to the step's log line."""
        if "loss" in logs:
            logs["step_seconds"] = time.perf_counter() - self._step_started
            if self.state.global_step == 1 and self._without_gradient is not None:
                logs["without_gradient"] = self._without_gradient  # pyright: ignore[reportArgumentType]
            if self._gradients_bytes and self.state.global_step == self._measured_step + 1:
                parts = memory_parts(self.model, self.optimizer, self._gradients_bytes)
                logs["memory"] = parts  # pyright: ignore[reportArgumentType]
                if self._laid_out:
                    logs["laid_out"] = asdict(self._laid_out)  # pyright: ignore[reportArgumentType]
                if self._live_peak_bytes:
                    logs["peak_bytes"] = self._live_peak_bytes + parts["optimizer_bytes"]
        super().log(logs, start_time)


class _StepClock(TrainerCallback):
    def __init__(self, trainer: MeasuringTrainer):
        self._trainer = trainer

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        earlier = [line["num_tokens"] for line in state.log_history if "num_tokens" in line]
        if earlier and state.is_world_process_zero:  # of a run that is resumed
            self._trainer._total_train_tokens = int(earlier[-1])

    @override
    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._trainer._step_started = time.perf_counter()

    @override
    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        if state.global_step == 0 and not self._trainer._recipe.trains_all:
            self._trainer._without_gradient = without_gradient(model)


class TellProgress(TrainerCallback):
    """Pass each step's loss on to what the person sees."""

    def __init__(self, progress: Progress):
        self._progress = progress

    @override
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Tell the step just logged; evaluations are not steps."""
        if logs and "loss" in logs:
            self._progress.step(state.global_step, state.max_steps, logs["loss"])


def _sure_steps(recipe: Recipe) -> int | None:
    """Return how many steps a run takes before it can stop early; None where it takes all."""
    if not recipe.stop_when_worse:
        return None
    return recipe.eval_every * (recipe.stop_when_worse + 1)


def _longest_step(dataset: Any, rows_per_step: int, steps: int | None) -> tuple[int, int]:
    """Return (the one of the first `steps` with the longest row, the tokens of that row)."""
    rows = None if steps is None else steps * rows_per_step
    lengths = [len(ids) for ids in dataset["input_ids"][:rows]]
    padded = [
        max(lengths[start : start + rows_per_step])
        for start in range(0, len(lengths), rows_per_step)
    ]
    return padded.index(max(padded)), max(padded)
