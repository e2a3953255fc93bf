"""The parts of a run: recipe, row order, byte counter, loss, provenance."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib import data, models
from labs_lib.errors import LabError
from labs_lib.training.engine.measure import LiveBytes, resident_bytes
from labs_lib.training.engine.order import row_order
from labs_lib.training.recipe import Recipe, parse_assignment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_recipe_is_legal_and_bears_its_file_name(path: Path) -> None:
    assert Recipe.from_yaml(path).name == path.stem


def test_scaling_is_alpha_over_rank_and_over_its_root_with_rslora() -> None:
    recipe = Recipe.of(rank=16, alpha=32, steps=1)
    assert recipe.scaling == 2
    assert recipe.but(rslora=True).scaling == 8


def test_yaml_scientific_notation_is_a_number() -> None:
    key, value = parse_assignment("learning_rate=1e-3")
    assert Recipe.of(**{key: value, "steps": 1}).learning_rate == 1e-3


def test_targets_may_be_written_as_one_text() -> None:
    recipe = Recipe.of(target_modules="q_proj, v_proj", steps=1)
    assert recipe.target_modules == ["q_proj", "v_proj"]
    assert Recipe.of(target_modules="all-linear", steps=1).target_modules == "all-linear"


def test_the_order_is_fixed_by_the_seed_and_uses_every_row_before_any_twice() -> None:
    lengths = list(range(30))
    order = row_order(lengths, rows_per_step=4, steps=10, seed=3)
    assert len(order) == 40
    assert order == row_order(lengths, 4, 10, 3)
    assert order != row_order(lengths, 4, 10, 4)
    counts = [order.count(index) for index in range(30)]
    assert set(counts) == {1, 2}


def test_like_lengths_share_a_step() -> None:
    lengths = [1, 100] * 16
    order = row_order(lengths, rows_per_step=4, steps=8, seed=0)
    steps = [order[start : start + 4] for start in range(0, 32, 4)]
    assert all(len({lengths[index] for index in step}) == 1 for step in steps)


def test_epochs_are_turned_into_steps() -> None:
    assert Recipe.of(batch_size=4, epochs=2).count_steps(rows=10) == 5
    assert Recipe.of(batch_size=2, accumulation=2, steps=3).count_steps(rows=10) == 3


def test_live_bytes_rise_with_a_tensor_and_fall_when_it_is_freed() -> None:
    with LiveBytes() as counter:
        kept = torch.zeros(1000)
        freed = torch.ones(500) + 1
        view = kept[10:]
        assert counter.live_bytes == 4000 + 2000
        del freed
        assert counter.live_bytes == 4000
    assert counter.peak_bytes >= 4000 + 2 * 2000
    assert view.numel() == 990


def test_resident_bytes_count_a_shared_weight_once() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    twin = torch.nn.Linear(10, 10, bias=False)
    twin.weight = layer.weight
    assert resident_bytes(torch.nn.Sequential(layer, twin)) == 400


@pytest.mark.parametrize(("plain", "together"), [(True, True), (True, False), (False, False)])
def test_our_loss_is_trls_loss(
    tiny_model: Path,
    tmp_path: Path,
    plain: bool,
    together: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from labs_lib import hardware
    from labs_lib.training.engine.layout import packed
    from labs_lib.training.engine.trainer import MeasuringTrainer, sft_config

    model, tokenizer = models.load(str(tiny_model), dtype="fp32")
    recipe = Recipe.of(steps=1, batch_size=4, rank=4)
    assert recipe.adapter is not None
    rows = data.to_hf(data.load_set("sea-captain").train[:4])
    ours: Any = MeasuringTrainer(
        recipe=recipe,
        model=copy.deepcopy(model),
        peft_config=recipe.adapter.peft_config(recipe.adapter_settings, ["q_proj"]),
        args=sft_config(recipe, 1, "fp32", hardware.detect(), tmp_path / "ours"),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    theirs: Any = SFTTrainer(
        model=copy.deepcopy(model),
        args=SFTConfig(
            output_dir=str(tmp_path / "theirs"),
            use_cpu=True,
            bf16=False,
            report_to="none",
            gradient_checkpointing=False,
        ),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
    if not plain:  # as for a family that changes its logits after the projection
        monkeypatch.setattr("labs_lib.training.engine.trainer.plain_head", lambda _model: None)
    made: list[Any] = []
    monkeypatch.setattr(
        "labs_lib.training.engine.layout.packed",
        lambda *rows: made.append(packed(*rows)) or made[-1],
    )
    if not together:  # as for attention that cannot take rows end to end
        monkeypatch.setattr("labs_lib.training.engine.layout.takes_packed_rows", lambda *_: False)
    batch = ours.data_collator([ours.train_dataset[i] for i in range(4)])
    losses = [trainer.compute_loss(trainer.model, dict(batch)) for trainer in (ours, theirs)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
    assert (batch["labels"] == -100).any(), "the prompt is not masked"
    assert bool(made) == together, "rows that begin alike were not laid together"
    gated = [module for module in ours.model.modules() if hasattr(module, "act_fn")]
    assert len(gated) == model.config.num_hidden_layers
    assert all("forward" in vars(module) for module in gated), "silu(gate) is kept"


@pytest.mark.parametrize(("cards", "used"), [(0, 0), (1, 1), (2, 1)])
def test_a_run_stays_on_one_card(
    cards: int, used: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labs_lib import hardware
    from labs_lib.training.engine import trainer

    class OnSeveralCards(trainer.SFTConfig):
        def __post_init__(self) -> None:
            super().__post_init__()
            self._n_gpu = cards

    monkeypatch.setattr(trainer, "SFTConfig", OnSeveralCards)
    config = trainer.sft_config(Recipe.of(steps=1), 1, "fp32", hardware.detect(), tmp_path)
    assert config.n_gpu == used


def test_an_adapter_for_another_base_is_named(tiny_model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from labs_lib.training import load_adapter, save

    shape: dict[str, Any] = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4}
    other = LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, vocab_size=64, **shape))
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    save(get_peft_model(other, config), tmp_path / "adapter", "some-other-model")
    model = models.load_model(str(tiny_model), dtype="fp32")
    with pytest.raises(LabError, match=r"made for some-other-model: .*q_proj there has 48 inputs"):
        load_adapter(model, tmp_path / "adapter")
    deeper = LlamaForCausalLM(LlamaConfig(num_hidden_layers=5, vocab_size=64, **shape))
    save(get_peft_model(deeper, config), tmp_path / "deeper", "a-deeper-model")
    with pytest.raises(LabError, match=r"which this model lacks"):
        load_adapter(other.base_model, tmp_path / "deeper")
    text = (tmp_path / "adapter" / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == "some-other-model"
