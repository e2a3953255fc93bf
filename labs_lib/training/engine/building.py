"""The model, its adapter and the trainer around them, as a recipe asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.pytorch_utils import Conv1D

from labs_lib import models
from labs_lib.hardware import Hardware
from labs_lib.training.adapter.norms import keep_precision
from labs_lib.training.encoding import Encoder, check_rows_within_tables
from labs_lib.training.engine.trainer import MeasuringTrainer, sft_config
from labs_lib.training.folder.run_folder import CHECKPOINTS
from labs_lib.training.folder.saving import name_the_base
from labs_lib.training.processes.ranks import ONE, Ranks
from labs_lib.training.processes.trainer import RankTrainer
from labs_lib.training.recipe import Recipe
from labs_lib.training.refusals import check_targets, check_trainable, refused_by_libraries

if TYPE_CHECKING:
    from labs_lib.data import Row


def build_trainer(
    recipe: Recipe,
    rows: Sequence[Row],
    validation: Sequence[Row],
    machine: Hardware,
    precision: str,
    folder: Path,
    encoder: Encoder | None = None,
    ranks: Ranks = ONE,
) -> tuple[Any, Any, MeasuringTrainer]:
    """Load the model and build the trainer around it, adapter included.

    `rows` are taken in their order, `recipe.rows_per_step` a step; `precision` is "bf16" or
    "fp32"; checkpoints go to `folder`; `encoder` is the model's, where one is at hand; `ranks` are
    the processes that share each step. Returns the model as the trainer wrapped it, the tokenizer
    and the trainer.
    """
    if encoder is None:
        encoder = Encoder(models.load_tokenizer(recipe.model), recipe.max_length, recipe.model)
    model = models.load_model(
        recipe.model,
        dtype=_weight_dtype(recipe, precision),
        quantization=_quantization(recipe, precision, ranks.cuts),
        device="cpu" if ranks.cuts else None,  # its parts go to their devices, not all of it
    )
    check_trainable(model, recipe)
    check_rows_within_tables(model, recipe.model, encoder, [*rows, *validation])
    steps = len(rows) // recipe.rows_per_step
    peft_config = None
    if recipe.adapter:
        targets = models.resolve_targets(model, recipe.target_modules)
        check_targets(model, targets)
        conv1d = _is_conv1d(model, targets[0])
        adapter_settings = replace(recipe.adapter_settings, steps=steps)
        with refused_by_libraries(recipe):
            peft_config = recipe.adapter.peft_config(adapter_settings, targets, conv1d=conv1d)
    if recipe.quantizes:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.checkpointing
        )
    settings = sft_config(recipe, steps, precision, machine, folder / CHECKPOINTS)
    share = ranks.share(recipe)
    settings.per_device_train_batch_size, settings.gradient_accumulation_steps = share
    settings.ddp_find_unused_parameters = _has_experts(model)  # one may get no token of a process
    trainer_of = partial(RankTrainer, ranks=ranks) if ranks.grouped else MeasuringTrainer
    trainer = trainer_of(
        recipe=recipe,
        model=model,
        peft_config=peft_config,
        args=settings,
        train_dataset=encoder.dataset(rows),
        eval_dataset=encoder.dataset(validation) if validation else None,
        processing_class=encoder.tokenizer,
    )
    wrapped: Any = trainer.model
    if recipe.adapter:
        # TRL rounds a 4-bit model's adapter to bf16, and PEFT copies norms as they are. It is
        # trained in fp32, as LoRA's is: on every machine, and after a checkpoint, which PEFT reads
        # back in fp32.
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        recipe.adapter.freeze(wrapped)
        keep_precision(wrapped)
        trainer.begin_adapter()
    name_the_base(wrapped, recipe.model)
    if isinstance(trainer, RankTrainer):
        trainer.cut_up()
    return wrapped, encoder.tokenizer, trainer


def _weight_dtype(recipe: Recipe, precision: str) -> torch.dtype:
    # Full fine-tuning keeps fp32 master weights; a frozen base needs none.
    return torch.bfloat16 if precision == "bf16" and not recipe.trains_all else torch.float32


def _quantization(recipe: Recipe, precision: str, cut_up: bool) -> Any:
    if not recipe.quantizes:
        return None
    from labs_lib.quantization import qlora_config

    config = qlora_config(quant_type=recipe.quantization, double_quant=recipe.double_quantization)
    if cut_up:  # FSDP2 divides floating-point numbers alone; the bits that they hold stay the same
        config.bnb_4bit_quant_storage = torch.bfloat16 if precision == "bf16" else torch.float32
    return config


def _has_experts(model: Any) -> bool:
    return hasattr(model.config.get_text_config(), "output_router_logits")


def _is_conv1d(model: Any, target: str) -> bool:
    return any(
        name.endswith(target) and isinstance(module, Conv1D)
        for name, module in model.named_modules()
    )
