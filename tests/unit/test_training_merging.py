"""Three ways to merge a QLoRA adapter, on a model of two layers."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_training_session import tiny_recipe

from labs_lib.errors import LabError
from labs_lib.training import Merges, compare_merges, merge, save, train
from labs_lib.training.merging import WAYS
from labs_lib.training.progress import Silent

# One worker makes what the whole file reads.
pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("training_merging")]


@pytest.fixture(scope="module")
def found(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Merges:
    """Return the ways compared for a QLoRA run of twelve steps."""
    recipe = tiny_recipe(tiny_model, method="qlora", steps=12, dropout=0.0)
    folder = tmp_path_factory.mktemp("merges") / "run"
    return compare_merges(train(recipe, folder, progress=Silent()), rows=3)


def test_every_way_is_measured_against_the_model_as_trained(found: Merges) -> None:
    assert [each.way for each in found.ways] == list(WAYS)
    trained = found.of("unmerged")
    assert (trained.update_kept, trained.update_error, trained.logit_change) == (1, 0, 0)
    assert (trained.same_next, trained.same_answers) == (1, 1)
    assert len(found.prompts) == len(trained.answers) == 3
    assert found.update_size > 0


def test_only_the_restored_base_is_merged_without_loss(found: Merges) -> None:
    restored, plain, four_bit = (found.of(way) for way in ("restored", "16-bit", "4-bit"))
    assert restored.update_error < 0.01
    assert restored.update_kept == pytest.approx(1, abs=0.01)
    assert restored.logit_change < 0.01
    assert restored.same_answers == 1
    # Rounding to 4 bits, once more or not at all: each is off by a share of the weights.
    for each in (plain, four_bit):
        assert each.update_error > 20 * restored.update_error
        assert each.logit_change > 5 * restored.logit_change


def test_the_four_bit_merge_stays_small_and_the_others_do_not(found: Merges) -> None:
    assert found.of("4-bit").dtype == "nf4"
    assert found.of("restored").dtype == found.of("16-bit").dtype != "nf4"
    assert found.of("restored").weights_bytes == found.of("16-bit").weights_bytes
    assert found.of("4-bit").weights_bytes < found.of("16-bit").weights_bytes


def test_the_table_has_a_row_a_way(found: Merges) -> None:
    text = str(found.table())
    assert all(f"\n{way} " in text for way in WAYS)
    assert "same answers (%)" in text


def test_another_method_is_refused_in_one_line(tiny_model: Path, tmp_path: Path) -> None:
    run = train(tiny_recipe(tiny_model, steps=1), tmp_path / "run", progress=Silent())
    with pytest.raises(LabError, match="trained by lora; only qlora has a 4-bit base"):
        compare_merges(run)


def test_merging_an_adapter_made_for_another_base_is_one_line(
    tiny_model: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    other = LlamaForCausalLM(
        LlamaConfig(hidden_size=48, num_hidden_layers=1, num_attention_heads=4, vocab_size=64)
    )
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    save(get_peft_model(other, config), tmp_path / "adapter", "some-other-model")
    with pytest.raises(LabError, match=r"made for some-other-model: .* has 48 inputs, here 64"):
        merge(tmp_path / "adapter", tmp_path / "out", str(tiny_model))
    assert not (tmp_path / "out").exists()
