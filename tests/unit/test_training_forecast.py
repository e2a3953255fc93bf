"""What was forecast stands beside what was measured, in the run and in its table."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from test_training_session import tiny_recipe

from labs_lib.training import Recipe, Run, train
from labs_lib.training.engine.loss_check import QUICK
from labs_lib.training.forecasting import forecast_beside
from labs_lib.training.progress import Silent
from labs_lib.training.run import RUN_FILE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("forecast")]


@pytest.fixture(scope="module")
def run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a short run."""
    recipe = tiny_recipe(tiny_model, steps=2, checkpoint_every=0, optimizer="sgd")
    return train(recipe, tmp_path_factory.mktemp("forecast") / "run", progress=Silent())


def test_run_json_holds_the_forecast_and_its_difference(run: Run) -> None:
    values = json.loads((run.folder / RUN_FILE).read_text(encoding="utf-8"))
    found = values["forecast"]
    assert found["peak_bytes"] / values["cost"]["peak_bytes"] - 1 == found["difference"]
    # A plain step takes logits, their softmax and its gradient at every token of the batch, in
    # fp32; the course's own takes them at the answers alone, a few at a time.
    logits_bytes = 12 * run.recipe.batch_size * found["tokens"] * 49152
    assert 0 < found["plain_peak_bytes"] - values["cost"]["peak_bytes"] < 1.3 * logits_bytes
    assert found["weights_bytes"] == values["cost"]["memory"]["weights_bytes"]
    assert found["adapter_bytes"] == values["cost"]["memory"]["adapter_bytes"]
    assert found["optimizer_bytes"] == values["cost"]["memory"]["optimizer_bytes"] == 0
    assert 10 < found["tokens"] <= run.recipe.max_length
    assert Run.load(run.folder) == run


STEPS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "LoRA in bf16": {"precision": "bf16"},
    "LoRA in bf16 with dropout": {"precision": "bf16", "dropout": 0.1},
    "LoRA everywhere": {"target_modules": "all-linear", "rank": 16},
    "LoRA, checkpointed": {"checkpointing": True},
    "LoRA, accumulated": {"accumulation": 2},
    "QLoRA": {"method": "qlora"},
    "QLoRA in bf16": {"method": "qlora", "precision": "bf16"},
    "QLoRA in bf16, checkpointed": {"method": "qlora", "precision": "bf16", "checkpointing": True},
    "DoRA": {"method": "dora"},
    "DoRA in bf16": {"method": "dora", "precision": "bf16"},
    "IA³": {"method": "ia3"},
    "IA³ in bf16": {"method": "ia3", "precision": "bf16"},
    "full": {"method": "full"},
    "full in bf16": {"method": "full", "precision": "bf16"},
}


@pytest.mark.parametrize("name", STEPS)
def test_the_forecast_is_the_measured_peak(name: str, tiny_model: Path, tmp_path: Path) -> None:
    """Of the step as the course's trainer takes it, whatever the method and the precision."""
    fields = {"precision": "fp32", "dropout": 0.0, **STEPS[name]}
    recipe = tiny_recipe(tiny_model, steps=1, checkpoint_every=0, eval_rows=0, **fields)
    run = train(recipe, tmp_path / "run", progress=Silent())
    assert run.loss_from == QUICK
    assert abs(run.forecast["difference"]) < 0.02, run.forecast


def test_the_table_shows_both(run: Run) -> None:
    table = dict(run.table())
    assert "the measured peak (transformers' own step: " in table["forecast"]
    assert "GiB" in table["forecast"]
    assert "GiB" in table["peak memory"]


def test_a_run_from_before_the_forecast_is_read(run: Run, tmp_path: Path) -> None:
    values = json.loads((run.folder / RUN_FILE).read_text(encoding="utf-8"))
    del values["forecast"]
    del values["recipe"]["optimizer"]
    (tmp_path / RUN_FILE).write_text(json.dumps(values))
    old = Run.load(tmp_path)
    assert old.forecast == {}
    assert "forecast" not in dict(old.table())
    assert old.recipe == run.recipe.but(optimizer="adamw_fused")


def test_a_model_that_the_formula_does_not_know_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    found = forecast_beside(Recipe.of(model=str(tmp_path), steps=1), "fp32", "cpu", 32, 10**9)
    assert "no layer for model_type 'mamba'" in found["why_none"]
    assert set(found) == {"why_none"}


def test_it_costs_milliseconds() -> None:
    recipe = Recipe.of(steps=1)
    forecast_beside(recipe, "bf16", "cuda", 64, 10**9)
    start = time.perf_counter()
    forecast_beside(recipe, "bf16", "cuda", 64, 10**9)
    assert time.perf_counter() - start < 0.05
