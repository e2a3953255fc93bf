"""Full fine-tuning, LoRA and QLoRA side by side, on a model of two layers."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest
from test_training_session import tiny_recipe

from labs_lib import data, models
from labs_lib.errors import LabError
from labs_lib.step.methods import FULL_RATE
from labs_lib.step.methods import USUAL as METHODS
from labs_lib.training import (
    Comparison,
    Recipe,
    compare,
    comparison_figure,
    load_run,
    recorded_comparison,
    text_loss,
)
from labs_lib.training import probe as probe_module
from labs_lib.training.comparison import PARTS, method_recipe
from labs_lib.training.progress import Silent
from labs_lib.training.run import Run

# One worker makes what the whole file reads.
pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("training_comparison")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def found(tiny_model: Path, folder: Path) -> Comparison:
    """Return a comparison over two seeds of four steps."""
    recipe = tiny_recipe(tiny_model, steps=4)
    return compare(recipe, folder, seeds=(0, 1), probe_rows=2, progress=Silent())


def test_every_method_and_seed_is_there_and_nothing_else_differs(found: Comparison):
    assert [(arm.method, arm.seed) for arm in found.arms] == [
        (method, seed) for method in METHODS for seed in (0, 1)
    ]
    full, lora = (method_recipe(found.recipe, method, 0) for method in ("full", "lora"))
    assert full.learning_rate == pytest.approx(FULL_RATE * lora.learning_rate)
    differing = {key for key, value in full.model_dump().items() if lora.model_dump()[key] != value}
    assert differing == {"name", "method", "learning_rate"}


def test_the_parts_of_the_memory_make_up_the_peak(found: Comparison):
    for arm in found.arms:
        assert sum(arm.memory[f"{part}_bytes"] for part in PARTS) == arm.peak_bytes
        assert arm.memory["activations_bytes"] > 0
    full, lora, qlora = (found.of(method)[0] for method in METHODS)
    # fp32: the tied embedding, and in each layer two norms, q and o, k and v, and the MLP.
    layer = 2 * 64 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128
    weights = 4 * (49152 * 64 + 2 * layer + 64)
    assert weights <= full.memory["weights_bytes"] < weights * 1.001  # and rotary frequencies
    assert full.memory["adapter_bytes"] == 0
    assert full.memory["gradients_bytes"] == weights
    assert full.memory["optimizer_bytes"] == pytest.approx(2 * weights, rel=1e-3)
    assert lora.memory["adapter_bytes"] == 4 * lora.trainable_parameters
    assert lora.memory["gradients_bytes"] == lora.memory["adapter_bytes"]
    # The embedding is fp32 before training in 4 bits; LoRA's is what the machine computes in.
    width = 2 if found.hardware["precision"] == "bf16" else 4
    linear_bytes = lora.memory["weights_bytes"] - width * 49152 * 64
    assert 0 < qlora.memory["weights_bytes"] - 4 * 49152 * 64 < linear_bytes


def test_it_is_read_back_as_it_was_written(found: Comparison, folder: Path):
    assert Comparison.load(folder / "comparison.json") == found


def test_reuse_trains_and_asks_nothing_again(found: Comparison, folder: Path, monkeypatch):
    monkeypatch.setattr(probe_module, "load_run", None)
    again = compare(found.recipe, folder, seeds=(0, 1), probe_rows=2, reuse=True, progress=Silent())
    assert again.arms == found.arms


def test_table_and_figure_show_every_method(found: Comparison):
    text = str(found.table())
    assert text.splitlines()[0].split() == ["tiny", *METHODS]
    assert "general knowledge after (%)" in text
    _, alt = comparison_figure(found)
    pyplot = importlib.import_module("matplotlib.pyplot")
    assert pyplot.get_fignums() == []  # or a notebook would draw it a second time
    assert all(f"{method}: " in alt for method in METHODS)


def test_a_tuned_model_is_loaded_in_its_own_precision(found: Comparison, folder: Path):
    run = Run.load(folder / "tiny-qlora-0")
    model, _ = load_run(run)
    kinds = {type(module).__name__ for module in model.modules()}
    assert "Linear4bit" in kinds
    assert not any("lora_" in name for name, _ in load_run(run, tuned=False)[0].named_parameters())


def test_the_loss_on_plain_text_is_taken_before_and_after(found: Comparison):
    lora, qlora = (found.of(method) for method in ("lora", "qlora"))
    assert lora[0].text_loss_before == lora[1].text_loss_before  # one base, asked once
    assert lora[0].text_loss_before != qlora[0].text_loss_before
    assert all(loss > 0 for loss in found.values("lora", "text_loss"))
    assert found.values("lora", "text_loss_change")[0] != 0
    change = found.spread("lora", "text_loss_change")
    assert change.count == 2
    assert change.mean == pytest.approx(
        found.mean("lora", "text_loss") - found.mean("lora", "text_loss_before")
    )
    assert "loss on plain text after" in str(found.table())


def test_a_text_loss_is_the_models_own(tiny_model: Path):
    model, tokenizer = models.load(str(tiny_model))
    texts = data.general_text()[:2]
    own, tokens = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        own += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert text_loss(model, tokenizer, texts) == pytest.approx(own / tokens, rel=2e-2)
    assert math.isnan(text_loss(model, tokenizer, []))


def test_recorded_comparisons_are_whole():
    whole, older = recorded_comparison("compare"), recorded_comparison("structured-output")
    assert whole.recipe == Recipe.from_yaml("compare")
    assert [(a.method, a.seed) for a in whole.arms] == [(m, s) for m in METHODS for s in range(3)]
    for method in METHODS:
        before, after = (whole.values(method, name) for name in ("loss_before", "loss"))
        assert 0 < max(after) < min(before)
        assert all(0 < kept <= 1 for kept in whole.values(method, "probe_kept"))
        assert all(loss > 0 for loss in whole.values(method, "text_loss"))
    assert {arm.seconds_per_step for arm in whole.arms} == {None}  # the machine was shared
    with pytest.raises(LabError, match=r"method: 'loraa' is not one of .*; did you mean 'lora'"):
        whole.spread("loraa", "loss")
    assert math.isnan(older.spread("lora", "text_loss_change").mean)  # from before it was taken
    assert "plain text" not in str(older.table())


def test_what_it_cannot_do_it_says_in_one_line(tiny_model: Path, tmp_path: Path):
    recipe = tiny_recipe(tiny_model)
    with pytest.raises(LabError, match="did you mean 'qlora'"):
        compare(recipe, tmp_path, methods=["qlra"])
    with pytest.raises(LabError, match="at least one method"):
        compare(recipe, tmp_path, methods=[])
    (tmp_path / "comparison.json").write_text(json.dumps({"arms": []}))
    with pytest.raises(LabError, match=r"comparison\.json is damaged"):
        Comparison.load(tmp_path / "comparison.json")
    with pytest.raises(LabError, match="no results"):
        Comparison.load(tmp_path / "nothing.json")
