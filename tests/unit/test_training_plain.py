"""The run of `train` takes the steps that transformers, PEFT and a loop take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_inputs import short

from labs_lib.training import plain, train
from labs_lib.training.progress import Silent

# TRL rounds a 4-bit model's adapter to bf16 before the first step; a plain loop does not.
ROUNDED = 1e-4


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({"method": "full", "learning_rate": 1e-3}, 1e-6),
        ({"method": "lora"}, 1e-6),
        ({"method": "qlora"}, ROUNDED),
        ({"accumulation": 2, "schedule": "linear", "warmup_steps": 2, "rslora": True}, 1e-6),
        ({"schedule": "constant", "seed": 3, "bias": "all", "max_length": 48}, 1e-6),
    ],
    ids=str,
)
def test_a_plain_loop_has_the_same_loss_at_every_step(
    changes: dict[str, Any], tolerance: float, tiny_model: Path, tmp_path: Path
) -> None:
    recipe = short(tiny_model, steps=6, eval_rows=0, **changes)
    run = train(recipe, tmp_path / "run", progress=Silent())
    _, losses = plain.train_plainly(recipe)
    assert losses == pytest.approx(run.losses, rel=tolerance)
    assert min(losses) < losses[0] * 0.99


def test_the_plain_loop_is_short_and_leans_on_no_trainer() -> None:
    text = Path(plain.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert "trainer" not in text.lower()
