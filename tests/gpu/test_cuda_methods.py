"""Every method and every optimizer trains on the card, and what a run says of it is the card's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from card_trials import recipe_of

from labs_lib.step.bases import TRAINABLE
from labs_lib.step.methods import METHODS
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.training import train
from labs_lib.training.progress import Silent

HALVED = ("full", "lora", "qlora", "dora", "ia3")
"""Methods that halve the held-out loss in twelve steps on a CPU."""
TRAINERS = [name for name, each in OPTIMIZERS.items() if each.optim]


@pytest.mark.parametrize("method", METHODS)
def test_a_step_reaches_every_tensor(method: str, tmp_path: Path):
    run = train(recipe_of(method, 1), tmp_path / "run", progress=Silent())
    assert run.hardware["device"] == "cuda"
    assert run.cost.peak_kind == "CUDA allocator"
    assert run.without_gradient == ()
    assert math.isfinite(run.losses[0])


@pytest.mark.parametrize("method", METHODS)
def test_twenty_steps_learn(method: str, tmp_path: Path):
    run = train(recipe_of(method, 20), tmp_path / "run", progress=Silent())
    assert run.before.loss is not None
    assert run.after.loss is not None
    assert run.after.loss < run.before.loss * (0.5 if method in HALVED else 0.9)


@pytest.mark.parametrize("quantization", TRAINABLE)
@pytest.mark.parametrize("double", [True, False])
def test_each_4_bit_base_learns(quantization: str, double: bool, tmp_path: Path):
    fields = {"quantization": quantization, "double_quantization": double}
    run = train(recipe_of("qlora", 12, **fields), tmp_path / "run", progress=Silent())
    assert run.before.loss is not None
    assert run.after.loss is not None
    assert run.after.loss < run.before.loss / 2


@pytest.mark.parametrize("optimizer", TRAINERS)
def test_each_optimizer_steps(optimizer: str, tmp_path: Path):
    rate = {"sgd": 1e-1, "adafactor": 1e-3}.get(optimizer, 1e-3)
    recipe = recipe_of("lora", 6, optimizer=optimizer, learning_rate=rate)
    run = train(recipe, tmp_path / "run", progress=Silent())
    assert run.before.loss is not None
    assert run.after.loss is not None
    assert run.after.loss < 0.9 * run.before.loss
    assert sum(run.cost.memory.values()) >= run.cost.peak_bytes


def test_bf16_and_fp32_begin_alike(tmp_path: Path):
    losses = [
        train(recipe_of("lora", 1, precision=name), tmp_path / name, progress=Silent()).losses[0]
        for name in ("fp32", "bf16")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
