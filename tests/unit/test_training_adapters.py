"""Every usual kind of adapter: loaded as PEFT saved it, merged into the very same model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_making import logits, trained
from adapter_tables import CAUSAL, NOT_MERGED, Q_V, SETTINGS

from labs_lib import models
from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.training import merge
from labs_lib.training.adapter.loading import load_adapter
from labs_lib.training.engine.folding import folded_in


@pytest.fixture
def in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load every base in fp32, whatever this machine computes fastest in."""

    def load(name: Any) -> tuple[Any, Any]:
        return models.load_model(name, dtype="fp32", device="cpu"), models.load_tokenizer(name)

    monkeypatch.setattr(models, "load", load)


@pytest.mark.seconds
@pytest.mark.usefixtures("in_fp32")
@pytest.mark.parametrize("name", SETTINGS)
def test_what_peft_saves_is_loaded_and_merged(name: str, tiny_model: Path, tmp_path: Path) -> None:
    kind, settings, tied = SETTINGS[name]
    expected = trained(tiny_model, kind, settings, tmp_path / "adapter")
    base = models.load_model(tiny_model, dtype="fp32", device="cpu")
    assert not torch.allclose(logits(base), expected, atol=1e-6), "the adapter does nothing"

    wrapped = load_adapter(base, tmp_path / "adapter")
    torch.testing.assert_close(logits(wrapped), expected, atol=1e-5, rtol=1e-4)

    with folded_in(wrapped):
        torch.testing.assert_close(logits(wrapped), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits(wrapped), expected, atol=1e-5, rtol=1e-4)

    folder = merge(tmp_path / "adapter", tmp_path / "merged")
    merged = models.load_model(folder, dtype="fp32", device="cpu")
    torch.testing.assert_close(logits(merged), expected, atol=1e-5, rtol=1e-4)
    head, embedding = merged.lm_head.weight, merged.model.embed_tokens.weight
    assert (head is embedding) == tied


@pytest.mark.usefixtures("in_fp32")
@pytest.mark.parametrize("name", NOT_MERGED)
def test_what_stands_before_the_prompt_is_loaded_and_not_merged(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    expected = trained(tiny_model, *NOT_MERGED[name], tmp_path / "adapter")
    base = models.load_model(tiny_model, dtype="fp32", device="cpu")
    wrapped = load_adapter(base, tmp_path / "adapter")
    torch.testing.assert_close(logits(wrapped), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(LabError, match="nothing to merge"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_peft_refuses_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    settings = {"r": 4, "lora_bias": True, **Q_V}
    trained(tiny_model, "LoraConfig", settings, tmp_path / "adapter")
    with pytest.raises(LabError, match=r"PEFT cannot merge this adapter: .*lora_bias"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.usefixtures("in_fp32")
def test_a_merge_that_loses_the_update_is_not_called_done(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraModel

    settings = {"r": 4, "lora_alpha": 64, "target_modules": "all-linear", **CAUSAL}
    trained(tiny_model, "LoraConfig", settings, tmp_path / "adapter")
    monkeypatch.setattr(LoraModel, "merge_and_unload", LoraModel.unload)
    with pytest.raises(LabError, match="logits are off by"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_base_stored_in_four_bits_is_not_merged_onto(tiny_model: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from labs_lib.training.adapter.merged import merged_from

    model = models.load_model(tiny_model, dtype="fp32", quantization="nf4", device="cpu")
    wrapped = get_peft_model(model, LoraConfig(r=4, **Q_V))
    with pytest.raises(LabError, match="the base is stored quantized"):
        merged_from(wrapped)


@pytest.mark.parametrize("other", [True, False], ids=["another base", "its base, said otherwise"])
def test_another_base_of_the_same_shapes_is_noted(
    other: bool, tiny_adapter: Path, tiny_model: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    shutil.copytree(tiny_model, tmp_path / "other")
    monkeypatch.chdir(tiny_model.parent if not other else tmp_path)
    named = "other" if other else f"./{tiny_model.name}/"
    for verb in (
        ["generate", "hi", "--max-new-tokens", "1", "--adapter", str(tiny_adapter)],
        ["merge", str(tiny_adapter), "--out", str(tmp_path / "merged")],
    ):
        with pytest.raises(SystemExit) as stop:
            main([*verb, "--model", named])
        lines = capsys.readouterr().err.splitlines()
        notes = [line for line in lines if line.startswith("Note:")]
        assert stop.value.code == 0
        assert len(notes) == other
        assert not other or f"made for '{tiny_model}' and is used on 'other'" in notes[0], notes
