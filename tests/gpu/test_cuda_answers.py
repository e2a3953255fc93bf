"""Answers on the card: the same alone and together, plain and in 4 bits, and those of the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from labs_lib import models
from labs_lib.training import answer

PROMPTS = [
    "What is the capital of Hungary?",
    "Who wrote Hamlet?",
    "Name three colors.",
    "What is 2 + 2?",
    "Write one sentence about the sea, and make it a long one, with a ship and a storm in it.",
]


@pytest.mark.parametrize("fields", [{"dtype": "fp32"}, {"quantization": "nf4", "dtype": "fp32"}])
def test_a_batch_answers_as_its_rows_do_alone(fields: dict[str, Any]):
    model, tokenizer = models.load(**fields)
    assert model.device.type == "cuda"
    together = answer(model, tokenizer, PROMPTS, 24)
    alone = [answer(model, tokenizer, [prompt], 24)[0] for prompt in PROMPTS]
    # A product of many rows adds up in another order: of two words as likely the other may come.
    assert sum(one == other for one, other in zip(together, alone, strict=True)) >= 4


def test_the_card_answers_as_the_cpu_does():
    found = {}
    for device in ("cuda", "cpu"):
        model, tokenizer = models.load(dtype="fp32", device=device)
        found[device] = answer(model, tokenizer, PROMPTS, 16)
    assert sum(map(str.__eq__, found["cuda"], found["cpu"])) >= 4


def test_bf16_knows_the_capital():
    model, tokenizer = models.load(dtype="bf16")
    assert "Budapest" in answer(model, tokenizer, PROMPTS[:1], 16)[0]
