"""What questions say the libraries do, tried on the libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # it trains

ROWS, BATCH, STEPS_AN_EPOCH = 10, 4, 3  # the last batch of an epoch has two rows


def resumable(folder: Path) -> Any:
    """Return a trainer of two epochs of a tiny model, with a checkpoint after each."""
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2,
    )  # fmt: skip
    arguments = TrainingArguments(
        str(folder), num_train_epochs=2, per_device_train_batch_size=BATCH, learning_rate=1e-3,
        save_strategy="epoch", logging_steps=1, use_cpu=True, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    rows: Any = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}] * ROWS
    return Trainer(LlamaForCausalLM(config), arguments, train_dataset=rows)


def rates(trainer: Any) -> dict[int, float]:
    """Return the learning rate of each step."""
    lines = trainer.state.log_history
    return {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}


@pytest.mark.parametrize(
    ("missing", "starts_again"), [(None, False), ("optimizer.pt", True), ("scheduler.pt", True)]
)
def test_a_trainer_reads_optimizer_and_schedule_together_or_not_at_all(
    missing: str | None, starts_again: bool, tmp_path: Path
):
    first = resumable(tmp_path)
    first.train()
    checkpoint = tmp_path / f"checkpoint-{STEPS_AN_EPOCH}"  # 04.workflow.done-again counts so
    if missing:
        (checkpoint / missing).unlink()
    second = resumable(tmp_path)
    second.train(resume_from_checkpoint=str(checkpoint))
    whole, resumed = rates(first), rates(second)
    step = STEPS_AN_EPOCH + 1
    assert resumed[step] == whole[1 if starts_again else step]  # 04.workflow.lost-file
