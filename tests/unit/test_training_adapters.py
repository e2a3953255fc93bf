"""Every usual kind of adapter: loaded as PEFT saved it, merged into the very same model."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib import models
from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.training import merge
from labs_lib.training.adapters import folded_in, load_adapter

IDS = torch.tensor([[5, 1, 2, 9, 33]])
Q_V = {"target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
Q = {"target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
MLP = {"target_modules": ["k_proj", "down_proj"], "task_type": "CAUSAL_LM"}

# PEFT's class, its settings, and whether the merged model's head is still its embedding
SETTINGS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "lora": ("LoraConfig", {"r": 4, **Q_V}, True),
    "a fraction as alpha": ("LoraConfig", {"r": 4, "lora_alpha": 0.5, **Q_V}, True),
    "rslora": ("LoraConfig", {"r": 4, "use_rslora": True, **Q_V}, True),
    "dora": ("LoraConfig", {"r": 4, "use_dora": True, **Q_V}, True),
    "pissa": ("LoraConfig", {"r": 4, "init_lora_weights": "pissa", **Q_V}, True),
    "olora": ("LoraConfig", {"r": 4, "init_lora_weights": "olora", **Q_V}, True),
    "gaussian": ("LoraConfig", {"r": 4, "init_lora_weights": "gaussian", **Q_V}, True),
    "orthogonal": ("LoraConfig", {"r": 4, "init_lora_weights": "orthogonal", **Q_V}, True),
    "bias": ("LoraConfig", {"r": 4, "bias": "all", **Q_V}, True),
    "no task": ("LoraConfig", {"r": 4, "target_modules": ["q_proj"]}, True),
    "head saved": ("LoraConfig", {"r": 4, "modules_to_save": ["lm_head"], **Q_V}, False),
    "embedding saved": ("LoraConfig", {"r": 4, "modules_to_save": ["embed_tokens"], **Q_V}, False),
    "both saved": (
        "LoraConfig",
        {"r": 4, "modules_to_save": ["embed_tokens", "lm_head"], **Q_V},
        False,
    ),
    "saved and tied": (
        "LoraConfig",
        {"r": 4, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True, **Q_V},
        True,
    ),
    "one layer": (
        "LoraConfig",
        {"r": 4, "layers_to_transform": [1], "layers_pattern": "layers", **Q_V},
        True,
    ),
    "replicated": ("LoraConfig", {"r": 4, "layer_replication": [[0, 2], [1, 2]], **Q_V}, True),
    "ranks": (
        "LoraConfig",
        {
            "r": 4,
            "rank_pattern": {"layers.0.self_attn.q_proj": 2, r".*v_proj": 8},
            "alpha_pattern": {"v_proj": 3},
            **Q_V,
        },
        True,
    ),
    "expression": (
        "LoraConfig",
        {"r": 4, "target_modules": r".*\.(q|v)_proj", "task_type": "CAUSAL_LM"},
        True,
    ),
    "all but q": (
        "LoraConfig",
        {
            "r": 4,
            "target_modules": "all-linear",
            "exclude_modules": ["q_proj"],
            "task_type": "CAUSAL_LM",
        },
        True,
    ),
    "parameters": (
        "LoraConfig",
        {
            "r": 4,
            "target_modules": [],
            "target_parameters": ["q_proj.weight"],
            "task_type": "CAUSAL_LM",
        },
        True,
    ),
    "embedding": (
        "LoraConfig",
        {"r": 4, "target_modules": ["embed_tokens"], "task_type": "CAUSAL_LM"},
        False,
    ),
    "head": (
        "LoraConfig",
        {"r": 4, "target_modules": ["lm_head"], "task_type": "CAUSAL_LM"},
        False,
    ),
    "embedding and head": (
        "LoraConfig",
        {"r": 4, "target_modules": ["lm_head", "embed_tokens"], "task_type": "CAUSAL_LM"},
        False,
    ),
    "tokens": ("LoraConfig", {"r": 4, "trainable_token_indices": [1, 2], **Q_V}, True),
    "tokens alone": (
        "TrainableTokensConfig",
        {"token_indices": [1, 2], "task_type": "CAUSAL_LM"},
        True,
    ),
    "adalora": ("AdaLoraConfig", {"total_step": 10, **Q_V}, True),
    "loha": ("LoHaConfig", {"r": 4, **Q_V}, True),
    "lokr": ("LoKrConfig", {"r": 4, **Q_V}, True),
    "ia3": ("IA3Config", {"feedforward_modules": ["down_proj"], **MLP}, True),
    "norms": (
        "LNTuningConfig",
        {"target_modules": ["input_layernorm"], "task_type": "CAUSAL_LM"},
        True,
    ),
    "oft": ("OFTConfig", {"oft_block_size": 4, "r": 0, **Q_V}, True),
    "boft": ("BOFTConfig", {"boft_block_size": 4, **Q}, True),
    "vera": ("VeraConfig", {"r": 4, **Q}, True),
    "hra": ("HRAConfig", {"r": 4, **Q_V}, True),
    "miss": ("MissConfig", {"r": 4, **Q_V}, True),
    "fourier": ("FourierFTConfig", {"n_frequency": 10, **Q}, True),
    "randlora": ("RandLoraConfig", {"r": 4, **Q}, True),
    "shira": ("ShiraConfig", {"r": 4, **Q}, True),
    "vblora": ("VBLoRAConfig", {"r": 4, "num_vectors": 16, "vector_length": 8, **Q}, True),
    "c3a": ("C3AConfig", {"block_size": 8, **Q}, True),
    "road": ("RoadConfig", {"group_size": 8, **Q}, True),
}

CAUSAL = {"task_type": "CAUSAL_LM"}
NOT_MERGED: dict[str, tuple[str, dict[str, Any]]] = {
    "prompt": ("PromptTuningConfig", {"num_virtual_tokens": 4, **CAUSAL}),
    "p-tuning": (
        "PromptEncoderConfig",
        {"num_virtual_tokens": 4, "encoder_hidden_size": 16, **CAUSAL},
    ),
    "prefix": ("PrefixTuningConfig", {"num_virtual_tokens": 4, **CAUSAL}),
    "projected prefix": (
        "PrefixTuningConfig",
        {
            "num_virtual_tokens": 4,
            "prefix_projection": True,
            "encoder_hidden_size": 16,
            **CAUSAL,
        },
    ),
    "adaption prompt": ("AdaptionPromptConfig", {"adapter_len": 4, "adapter_layers": 1, **CAUSAL}),
}


def trained(base: Path, kind: str, settings: dict[str, Any], folder: Path) -> torch.Tensor:
    """Save an adapter with moved weights to `folder`; return its model's logits on `IDS`."""
    import peft

    model = models.load_model(base, dtype="fp32", device="cpu")
    wrapped: Any = peft.get_peft_model(model, getattr(peft, kind)(**settings))
    torch.manual_seed(1)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    wrapped.eval()
    for config in wrapped.peft_config.values():
        config.base_model_name_or_path = str(base)
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)
    return logits(wrapped)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits.float()


@pytest.fixture
def in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load every base in fp32, whatever this machine computes fastest in."""

    def load(name: Any) -> tuple[Any, Any]:
        return models.load_model(name, dtype="fp32", device="cpu"), models.load_tokenizer(name)

    monkeypatch.setattr(models, "load", load)


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


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """Return the folder of a plain LoRA adapter on the tiny model."""
    trained(tiny_model, "LoraConfig", {"r": 4, **Q_V}, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_base_stored_in_four_bits_is_not_merged_onto(adapter: Path, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "plain")
    model = models.load_model(tmp_path / "plain", dtype="fp32", quantization="nf4", device="cpu")
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(model, LoraConfig(r=4, **Q_V))
    from labs_lib.training.merged_model import merged_from

    with pytest.raises(LabError, match="the base is stored quantised"):
        merged_from(wrapped)


@pytest.mark.parametrize("other", [True, False], ids=["another base", "its base, said otherwise"])
def test_another_base_of_the_same_shapes_is_noted(
    other: bool, adapter: Path, tiny_model: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    shutil.copytree(tiny_model, tmp_path / "other")
    monkeypatch.chdir(tiny_model.parent if not other else tmp_path)
    named = "other" if other else f"./{tiny_model.name}/"
    for verb in (
        ["generate", "hi", "--max-new-tokens", "1", "--adapter", str(adapter)],
        ["merge", str(adapter), "--out", str(tmp_path / "merged")],
    ):
        with pytest.raises(SystemExit) as stop:
            main([*verb, "--model", named])
        told = [each for each in capsys.readouterr().err.splitlines() if each.startswith("Note:")]
        assert stop.value.code == 0
        assert len(told) == other
        assert not other or f"made for '{tiny_model}' and is used on 'other'" in told[0], told


def outs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Return (what is given as --out, where the model lies then)."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "to-empty").symlink_to(tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    (tmp_path / "empty-too").mkdir()
    return [
        (tmp_path / "to-empty", tmp_path / "empty"),
        (tmp_path / "dangling", tmp_path / "new"),
        (tmp_path / "empty-too", tmp_path / "empty-too"),
        (tmp_path / "some" / "where" / "else", tmp_path / "some" / "where" / "else"),
    ]


def test_out_may_be_a_link(adapter: Path, tmp_path: Path) -> None:
    places = outs(tmp_path)
    for given, folder in places:
        was_link = given.is_symlink()
        merge(adapter, given)
        assert (folder / "model.safetensors").is_file()
        assert given.is_symlink() == was_link
        assert not folder.is_symlink()
    hidden = [each.name for each in tmp_path.rglob(".*")]
    assert hidden == [], "a folder written aside was left behind"


@pytest.mark.parametrize("kind", ["ring", "file", "full", "link to full", "under a file", "NUL"])
def test_an_out_that_cannot_be_is_one_line(kind: str, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "ring":
        out.symlink_to(out)
    elif kind == "file":
        out.write_text("x")
    elif kind in ("full", "link to full"):
        full = tmp_path / "full"
        full.mkdir()
        (full / "thesis.txt").write_text("years of work")
        if kind == "full":
            out = full
        else:
            out.symlink_to(full)
    elif kind == "under a file":
        out.write_text("x")
        out = out / "deeper"
    else:
        out = tmp_path / "a\0b"
    before = sorted(each.name for each in tmp_path.iterdir())
    with pytest.raises(LabError):
        merge(adapter, out)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_leaves_nothing(
    number: int, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LabError, match=f"cannot write .*{os.strerror(number)}"):
        merge(adapter, tmp_path / "merged")
    assert [each.name for each in tmp_path.iterdir()] == ["adapter"]


def test_a_disk_that_fills_up_under_safetensors_is_one_line(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(LabError, match="cannot write"):
            merge(adapter, tmp_path / "merged")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [each.name for each in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_weights_are_as_readable_as_all_else(
    umask: int, mode: int, adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from labs_lib.training import save

    before = os.umask(umask)
    try:
        merge(adapter, tmp_path / "merged")
        wrapped = load_adapter(models.load_model(tiny_model, device="cpu"), adapter)
        save(wrapped, tmp_path / "again", str(tiny_model))
    finally:
        os.umask(before)
    for folder in (tmp_path / "merged", tmp_path / "again"):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert set(modes.values()) == {mode}, modes
        assert any(name.endswith(".safetensors") for name in modes)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
def test_a_file_that_the_writer_put_in_place_is_readable(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from labs_lib.files import written_aside

    before = os.umask(0o022)
    try:
        with written_aside(tmp_path / "one.safetensors") as aside:
            save_file({"a": torch.zeros(2)}, aside)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "one.safetensors").stat().st_mode) == 0o644
