"""Adapters from strangers: whatever they hold, one line, soon, and nothing is run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_tables import BASES, FIELDS, HARMLESS, Q_V, TEXTS
from safetensors.torch import load_file, save_file

from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.training.adapter.loading import load_adapter, load_with_adapter

# A refusal comes soon: nothing that a stranger wrote is worked through.
pytestmark = pytest.mark.timeout(180)
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def tiny(vocabulary: int = 64, tied: bool = True, **changes: Any) -> Any:
    """Return a two-layer random Llama, the same at each call."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
    } | changes
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        **sizes,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained-looking LoRA adapter, as PEFT writes it."""
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(tiny(), LoraConfig(r=4, **Q_V))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    folder = tmp_path_factory.mktemp("whole") / "adapter"
    wrapped.save_pretrained(str(folder))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the adapter, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "adapter"))


def refused(folder: Path) -> str:
    """Return the one line with which the adapter is refused."""
    with pytest.raises(LabError) as caught:
        load_adapter(tiny(), folder)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 700 + len(str(folder))
    assert line.startswith("adapter: ")
    return line


def change(folder: Path, **fields: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.seconds
@pytest.mark.parametrize(("fields", "parts"), FIELDS, ids=lambda each: str(each)[:50])
def test_a_field_that_no_adapter_needs(
    fields: dict[str, Any], parts: list[str], folder: Path
) -> None:
    change(folder, **fields)
    line = refused(folder)
    for part in parts:
        assert part in line
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules


@pytest.mark.parametrize("fields", HARMLESS, ids=lambda each: str(each)[:50])
def test_a_field_that_changes_nothing(fields: dict[str, Any], folder: Path, whole: Path) -> None:
    change(folder, **fields)
    ids = torch.tensor([[1, 2, 3]])
    expected = load_adapter(tiny(), whole)(input_ids=ids).logits
    assert torch.equal(load_adapter(tiny(), folder)(input_ids=ids).logits, expected)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(("text", "parts"), TEXTS, ids=lambda each: str(each)[:30])
def test_a_configuration_that_is_none(text: bytes, parts: list[str], folder: Path) -> None:
    (folder / CONFIG).write_bytes(text)
    line = refused(folder)
    for part in parts:
        assert part in line


@pytest.mark.parametrize(("name", "parts"), BASES, ids=lambda each: str(each)[:30])
def test_a_base_that_leads_nowhere(
    name: Any, parts: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, base_model_name_or_path=name)
    with pytest.raises(SystemExit) as stop:
        main(["generate", "hi", "--adapter", str(folder)])
    line = capsys.readouterr().err
    assert stop.value.code == 2
    assert line.count("\n") == 1
    for part in ["adapter: ", *parts]:
        assert part in line


def test_a_base_that_is_another_adapter(folder: Path) -> None:
    change(folder, base_model_name_or_path=str(folder))
    reason = r"^adapter: its base model cannot be had: .* holds an adapter, not a model"
    with pytest.raises(LabError, match=reason) as caught:
        load_with_adapter(folder)
    assert "model: " not in str(caught.value), "the reason is about the adapter now"


Tensors = dict[str, torch.Tensor]


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.replace(old, new): each for name, each in tensors.items()}


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: each for name, each in tensors.items() if part not in name}


def first_as(turn: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    def changed(tensors: Tensors) -> Tensors:
        name = sorted(tensors)[0]
        return tensors | {name: turn(tensors[name]).contiguous()}

    return changed


def all_as(dtype: torch.dtype) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: each.to(dtype) for name, each in tensors.items()}


def with_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def changed(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor[0, 0] = value
        return tensor

    return changed


def added(name: str, *shape: int) -> Callable[[Tensors], Tensors]:
    return lambda tensors: tensors | {name: torch.zeros(shape)}


IN_LAYER = "base_model.model.model.layers.0.self_attn."
TENSORS: list[tuple[str, Callable[[Tensors], Tensors], list[str]]] = [
    ("bare names", renamed("base_model.model.", ""), ["8 of its 8 tensors", "base_model.model."]),
    ("half a prefix", renamed("base_model.model.", "model."), ["8 of its 8 tensors"]),
    ("a prefix twice", renamed("base_model.model.", "base_model.model." * 2), ["model.model"]),
    ("other factors", renamed("lora_A", "lora_a"), ["adapter"]),
    ("an adapter's name", renamed("lora_A.weight", "lora_A.other.weight"), ["adapter"]),
    ("no B", without("lora_B"), ["has a lora_A and no lora_B"]),
    ("no A", without("lora_A"), ["has a lora_B and no lora_A"]),
    ("one B missing", without("layers.1.self_attn.v_proj.lora_B"), ["and no lora_B"]),
    ("a layer missing", without("layers.1."), ["4 tensors", "are missing", "layers.1"]),
    ("a module missing", without("v_proj"), ["are missing", "v_proj"]),
    ("none", lambda _: {}, ["holds no tensor"]),
    ("another layer", renamed("layers.1.", "layers.7."), ["layers.7", "this model lacks"]),
    ("another module", renamed("v_proj", "w_proj"), ["w_proj", "this model lacks"]),
    ("NaN", first_as(with_value(float("nan"))), ["NaN", "1 values"]),
    ("infinite", first_as(with_value(float("inf"))), ["infinite", "1 values"]),
    ("all too large", lambda t: {n: torch.full_like(e, 1e30) for n, e in t.items()}, ["infinite"]),
    ("int8", all_as(torch.int8), ["I8", "legal: F64"]),
    ("uint8", all_as(torch.uint8), ["U8"]),
    ("bool", all_as(torch.bool), ["BOOL"]),
    ("fp8", all_as(torch.float8_e4m3fn), ["F8_E4M3"]),
    ("complex", all_as(torch.complex64), ["C64"]),
    ("turned", first_as(lambda each: each.T), ["has 4 inputs, here 32"]),
    ("flat", first_as(torch.flatten), ["adapter"]),
    ("scalar", first_as(lambda each: each[0, 0]), ["adapter"]),
    ("empty", first_as(lambda each: each[:0]), ["rank 0"]),
    ("one rank less", first_as(lambda each: each[:3]), ["says 4", "rank 3"]),
    ("too much", added(IN_LAYER + "k_proj.lora_A.weight", 4, 32), ["k_proj", "no lora_B"]),
    ("unknown", added("base_model.model.surprise", 4), ["1 of its 9 tensors", "surprise"]),
    ("a long name", added("x" * 5000, 4), ["1 of its 9 tensors", "xxx…"]),
    ("a name for a terminal", added("base_model.model.\x1b[31m", 4), ["\\x1b[31m"]),
    ("a base weight", added(IN_LAYER + "k_proj.weight", 16, 32), ["would replace a weight"]),
    ("an adapted weight", added(IN_LAYER + "q_proj.base_layer.weight", 32, 32), ["would replace"]),
    ("a norm", added("base_model.model.model.norm.weight", 32), ["would replace"]),
    (
        "more tokens",
        added("base_model.model.model.embed_tokens.weight", 70, 32),
        ["trained with 70 tokens and this model has 64"],
    ),
    (
        "more tokens in the head",
        added("base_model.model.lm_head.weight", 70, 32),
        ["trained with 70 tokens and this model has 64"],
    ),
]


@pytest.mark.parametrize(("name", "damage", "parts"), TENSORS, ids=[each[0] for each in TENSORS])
def test_tensors_without_a_place(
    name: str, damage: Callable[[Tensors], Tensors], parts: list[str], folder: Path
) -> None:
    tensors = {name: each.clone() for name, each in load_file(folder / WEIGHTS).items()}
    save_file(damage(tensors), folder / WEIGHTS)
    line = refused(folder)
    assert len(line) < 600
    assert line.isprintable()
    for part in parts:
        assert part in line


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000], ids=["NUL", "long"])
def test_a_name_that_is_no_folders(name: str) -> None:
    line = refused(Path(name))
    assert line.startswith("adapter: ")
    assert len(line) < 200


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_adapter_saved_in_another_precision_is_loaded(dtype: torch.dtype, folder: Path) -> None:
    save_file(all_as(dtype)(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    assert load_adapter(tiny(), folder)


OTHER_BASES: list[tuple[dict[str, Any], str]] = [
    ({"hidden_size": 64}, "has 32 inputs, here 64"),
    ({"num_hidden_layers": 1}, "has a part for model.layers.1"),
    ({"num_hidden_layers": 3}, "are missing"),
]


@pytest.mark.parametrize(("sizes", "part"), OTHER_BASES)
def test_another_base(sizes: dict[str, Any], part: str, folder: Path) -> None:
    with pytest.raises(LabError, match=part):
        load_adapter(tiny(**sizes), folder)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (None, "made for another base: "),
        ("", "made for another base: "),
        ("mine", "made for mine: "),
        ("\x1b[31m", r"made for '\\x1b\[31m': "),
    ],
)
def test_the_base_that_an_adapter_was_made_for(name: str | None, part: str, folder: Path) -> None:
    change(folder, base_model_name_or_path=name)
    for sizes, reason in OTHER_BASES[:2]:
        with pytest.raises(LabError, match=f"adapter: {part}.*{reason}"):
            load_adapter(tiny(**sizes), folder)


def test_pickle_is_never_opened(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'exit 7'\ntR.")
    assert "only pickle weights" in refused(folder)


def test_a_file_behind_a_link_is_read_and_what_is_no_file_is_not(folder: Path) -> None:
    weights = folder / WEIGHTS
    weights.rename(folder.parent / "blob")
    weights.symlink_to(folder.parent / "blob")
    assert load_adapter(tiny(), folder)
    weights.unlink()
    weights.symlink_to("nowhere")
    assert "leads to no file" in refused(folder)
    weights.unlink()
    weights.symlink_to("/dev/zero")
    assert WEIGHTS in refused(folder)
    weights.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(weights)
        assert WEIGHTS in refused(folder)


def test_an_adapter_as_the_course_writes_it_needs_no_process(folder: Path) -> None:
    from labs_lib.models import bounded

    def no_process(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a process was started for plain names")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded.subprocess, "run", no_process)
        assert load_adapter(tiny(), folder)
