"""Four ways to take the same training step, each from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_task import BATCH_SIZE, batches_of, encoded, recipe_of, rows_of
from training_turns import Clock


def loaded(method: str, compute_dtype: str = "fp32") -> tuple[Any, Any]:
    """Return the bundled model and its tokenizer; the base is in fp32, or in NF4.

    `compute_dtype` is that of the products with weights in NF4.
    """
    import torch

    from labs_lib import models
    from labs_lib.quantization import qlora_config

    quantization = qlora_config(compute_dtype=compute_dtype) if method == "qlora" else None
    return models.load(dtype=torch.float32, quantization=quantization)


def adapter_config(model: Any, recipe: Any) -> Any:
    """Return PEFT's configuration of the recipe's adapter."""
    from labs_lib import models

    targets = models.resolve_targets(model, recipe.target_modules)
    return recipe.adapter.peft_config(recipe.adapter_settings, targets)


def same_factors(model: Any, seed: int) -> None:
    """Give the adapter the first factors of this seed, the same in every process, in fp32."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
        if "lora_A" in name:
            bound = parameter.shape[1] ** -0.5
            parameter.data = torch.empty_like(parameter, dtype=torch.float32).uniform_(
                -bound, bound, generator=generator
            )
        elif "lora_B" in name:
            parameter.data = torch.zeros_like(parameter, dtype=torch.float32)


def with_clock(trainer: Any) -> Callable[[Clock], None]:
    """Return what runs a `Trainer` to its end, each step when the parent says so."""
    from transformers import TrainerCallback
    from typing_extensions import override

    class Turns(TrainerCallback):
        def __init__(self, clock: Clock):
            self._clock = clock

        @override
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self._clock.begin()

        @override
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self._clock.end(trainer.optimizer)

    def run(clock: Clock) -> None:
        trainer.add_callback(Turns(clock))
        trainer.train()

    return run


def build_trl(method: str, length: str, steps: int, folder: str, seed: int = 0) -> Any:
    """TRL's trainer as its documentation shows it."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from labs_lib import data, hardware

    precision = hardware.detect().precision
    model, tokenizer = loaded(method, precision)
    rows = rows_of(length, "train", steps * BATCH_SIZE, seed)
    recipe = recipe_of(method, steps)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=folder,
            use_cpu=True,
            # Its default is bf16 everywhere: on a CPU without bf16 instructions a step takes 50 s.
            bf16=precision == "bf16",
            max_steps=steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",  # the same rows at the same step for everyone
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=data.to_hf(rows),
        processing_class=tokenizer,
        peft_config=None if method == "full" else adapter_config(model, recipe),
    )
    same_factors(trainer.model, seed)
    return trainer.model, with_clock(trainer), batches_of(encoded(rows, tokenizer))


def build_plain(method: str, length: str, steps: int, folder: str, seed: int = 0) -> Any:
    """Build transformers' trainer on PEFT's model, with its own collator and loss."""
    import datasets
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model, tokenizer, rows, recipe = wrapped(method, length, steps, seed)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            max_steps=steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    return model, with_clock(trainer), batches_of(rows)


def build_loop(method: str, length: str, steps: int, _folder: str, seed: int = 0) -> Any:
    """Build the loop that a textbook writes."""
    import torch
    from transformers import DataCollatorForSeq2Seq

    model, tokenizer, rows, recipe = wrapped(method, length, steps, seed)
    padded = DataCollatorForSeq2Seq(tokenizer)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=recipe.learning_rate, weight_decay=0.0)

    def run(clock: Clock) -> None:
        model.train()
        for at in range(0, len(rows), BATCH_SIZE):
            clock.begin()
            batch = padded(rows[at : at + BATCH_SIZE])
            loss = model(**batch, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            clock.end(optimizer)

    return model, run, batches_of(rows)


def build_ours(method: str, length: str, steps: int, folder: str, seed: int = 0) -> Any:
    """Build the course's trainer, as `labs_lib.training.train` does."""
    from labs_lib import hardware
    from labs_lib.training.engine.building import build_trainer

    recipe = recipe_of(method, steps)
    rows = rows_of(length, "train", steps * BATCH_SIZE, seed)
    model, tokenizer, trainer = build_trainer(
        recipe, rows, (), hardware.detect(), hardware.detect().precision, Path(folder)
    )
    trainer.measure_no_step()
    same_factors(model, seed)
    return model, with_clock(trainer), batches_of(encoded(rows, tokenizer))


BUILD = {"trl": build_trl, "plain": build_plain, "loop": build_loop, "ours": build_ours}


def wrapped(method: str, length: str, steps: int, seed: int) -> Any:
    """Return model, tokenizer, encoded rows and recipe for the two ways without TRL."""
    from peft import get_peft_model, prepare_model_for_kbit_training

    model, tokenizer = loaded(method)
    recipe = recipe_of(method, steps)
    if method == "qlora":
        model = prepare_model_for_kbit_training(model)
    if method != "full":
        model = get_peft_model(model, adapter_config(model, recipe))
        same_factors(model, seed)
    rows = encoded(rows_of(length, "train", steps * BATCH_SIZE, seed), tokenizer)
    return model, tokenizer, rows, recipe
