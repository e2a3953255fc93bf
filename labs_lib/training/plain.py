"""The same training by transformers, PEFT and a loop: `session.train` without all that helps.

No checkpoints, no measuring, no evaluation, none of the quick ways of `engine`: fp32 on the CPU.
With dropout 0, rows that all fit into `max_length` and AdamW, every step has the loss that it has
there.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from peft import get_peft_model

from labs_lib import data, models
from labs_lib.errors import LabError
from labs_lib.quantization import qlora_config
from labs_lib.step.adapters.entry import Training
from labs_lib.training.engine.order import row_order
from labs_lib.training.recipe import Recipe


def train_plainly(recipe: Recipe) -> tuple[Any, list[float]]:
    """Train by `recipe`; return the model and the loss of each step, in nats per token."""
    rows = data.resolve(recipe.dataset).train[: recipe.train_rows]
    folder = models.locate(recipe.model).location
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = [encode(tokenizer, row, recipe.max_length) for row in rows]
    lengths = [row.characters for row in rows]
    steps, rows_per_step = recipe.count_steps(len(rows)), recipe.rows_per_step
    order = row_order(lengths, rows_per_step, steps, recipe.seed)
    transformers.set_seed(recipe.seed)
    model = load(recipe, folder).train()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=recipe.learning_rate, weight_decay=0.0)
    curve = "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule
    schedule = transformers.get_scheduler(curve, optimizer, recipe.warmup_steps, steps)
    pad, losses = transformers.DataCollatorForSeq2Seq(tokenizer), []
    for start in range(0, len(order), rows_per_step):
        step = [encoded[index] for index in order[start : start + rows_per_step]]
        tokens = sum(label != -100 for row in step for label in row["labels"])
        losses.append(0.0)
        for first in range(0, rows_per_step, recipe.batch_size):
            micro_batch = pad(step[first : first + recipe.batch_size])
            loss = model(**micro_batch, num_items_in_batch=tokens).loss  # their sum, over `tokens`
            loss.backward()
            losses[-1] += loss.item()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model, losses


def encode(tokenizer: Any, row: data.Row, max_length: int) -> dict[str, list[int]]:
    """Return a row's `input_ids` and `labels`, -100 for the prompt: it is read, not learned."""
    template = tokenizer.apply_chat_template
    prompt = template(row.prompt_messages(), add_generation_prompt=True)["input_ids"]
    ids = template(row.messages())["input_ids"]
    labels = [-100] * len(prompt) + ids[len(prompt) :]
    return {"input_ids": ids[:max_length], "labels": labels[:max_length]}


def load(recipe: Recipe, folder: str) -> Any:
    """Return the model to train: whole, or frozen (for QLoRA in 4 bits) under an adapter."""
    extra: dict[str, Any] = {"dtype": torch.float32}
    if recipe.quantizes:
        extra["quantization_config"] = qlora_config(recipe.quantization, recipe.double_quantization)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **extra)
    if recipe.adapter is None:
        return model
    if recipe.adapter.training != Training():
        raise LabError(
            f"method: {recipe.method} asks for more than this plain loop; `train` has it"
        )
    targets = models.resolve_targets(model, recipe.target_modules)
    return get_peft_model(model, recipe.adapter.peft_config(recipe.adapter_settings, targets))
