"""The task that each contender of `training.py` is given: its recipe, its rows, its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

METHODS = ("lora", "qlora", "full")
LENGTHS = {"short": 0, "long": 3}
"""Solved examples put before each request: a row of some 65 tokens, and one of some 185."""

BATCH_SIZE = 4
HELD_OUT_ROWS = 16
LEARNING_RATE = {"lora": 1e-3, "qlora": 1e-3, "full": 1e-4}


def recipe_of(method: str, steps: int) -> Any:
    """Return the recipe that the contenders share."""
    from labs_lib.training import Recipe

    return Recipe.of(
        name="bench",
        dataset="structured-output",
        method=method,
        rank=16,
        alpha=32,
        learning_rate=LEARNING_RATE[method],
        schedule="constant",
        warmup_steps=0,
        steps=steps,
        batch_size=BATCH_SIZE,
        max_length=512,
    )


def rows_of(length: str, split: str, count: int, seed: int = 0) -> list[Any]:
    """Return rows of structured output, each after as many solved examples as `length` says.

    Another `seed` gives the rows that follow, from the start again after the last.
    """
    from labs_lib.data import Row, load_set

    rows = load_set("structured-output").split(split)
    shots = LENGTHS[length]
    with_examples = []
    for index in range(seed * count, (seed + 1) * count):
        *examples, row = (rows[(index * (shots + 1) + k) % len(rows)] for k in range(shots + 1))
        solved = [f"{example.prompt}\n{example.completion}" for example in examples]
        prompt = "\n\n".join([*solved, row.prompt])
        with_examples.append(Row(prompt, row.completion, system=row.system))
    return with_examples


def encoded(rows: Sequence[Any], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Return token numbers and labels as TRL makes them: the answer alone is learnt."""
    columns = []
    for row in rows:
        prompt = tokenizer.apply_chat_template(
            row.prompt_messages(), add_generation_prompt=True, return_dict=True
        )["input_ids"]
        whole = tokenizer.apply_chat_template(row.messages(), return_dict=True)["input_ids"]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        columns.append({"input_ids": whole, "labels": labels})
    return columns


def batches_of(rows: Sequence[dict[str, list[int]]]) -> list[tuple[int, int]]:
    """Return each step's tokens and predicted tokens, padding left out."""
    steps = [rows[at : at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE)]
    return [
        (
            sum(len(row["input_ids"]) for row in step),
            sum(label != -100 for row in step for label in row["labels"]),
        )
        for step in steps
    ]


def operations(model: Any, method: str) -> dict[str, float]:
    """Return the matrix operations that a step needs for each token and each predicted token."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = inner.config
    head = config.vocab_size * config.hidden_size
    adapter = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    weights = inner.num_parameters() - head - adapter
    passes = 6 if method == "full" else 4
    return {
        "operations_per_token": passes * weights + 6 * adapter,
        "operations_per_label": passes * head,
    }


def held_out_loss(model: Any, length: str) -> float:
    """Return the mean loss of a predicted token on held-out rows, by the plainest code, in fp32.

    Whatever a contender was trained in, it is judged without the rounding of bf16. The model is
    changed: it is of no use afterwards.
    """
    import torch

    from labs_lib import models

    tokenizer = models.load_tokenizer()
    rows = encoded(rows_of(length, "validation", HELD_OUT_ROWS), tokenizer)
    model.eval().float()
    for module in model.modules():
        if hasattr(module, "compute_dtype"):  # a 4-bit layer's
            module.compute_dtype = torch.float32
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            logits = model(torch.tensor([row["input_ids"]]), use_cache=False).logits[0, :-1].float()
            labels = torch.tensor(row["labels"][1:])
            total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            count += int((labels != -100).sum())
    return total / count
