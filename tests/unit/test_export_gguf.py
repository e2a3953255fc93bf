"""GGUF files, read by the two programs that read them: transformers and llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_making import IDS, logits
from llama_cpp import LlamaCpp
from run_making import make_adapter_run, make_run
from training_inputs import GPT2, make

from labs_lib import models
from labs_lib.errors import LabError
from labs_lib.export import GGUF_TYPES, export_gguf
from labs_lib.export.gguf import pairs_from_halves, write_gguf
from labs_lib.export.gguf_tokenizer import LLAMA3_SPLIT
from labs_lib.export.weights import merged_model
from labs_lib.training import Run, answer

TOLERANCE = {"f32": 1e-6, "f16": 2e-3, "q8_0": 0.05}
"""Of the logits' spread, root mean square; measured on this model: 0, 0.0004 and 0.01."""
LOG_SHARE_TOLERANCE = {"f32": 0.01, "f16": 0.01, "q8_0": 0.15}
"""llama.cpp keeps keys and values in 16 bits, and multiplies 8-bit weights by 8-bit inputs."""
VOCABULARY = 2000
TEXTS = [
    "The capital of France",
    "In 2024, 12345 people paid 3.50 in 2 shops",
    "  two  spaces\n\n\tand a tab ",
    "¿Qué? 漢字, naïve, don't, I'LL, we're 😀",
    "<|im_start|>user\nhi<|im_end|>\n",
    "x=1;y_2==[3]\r\n",
]


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A random Llama that knows the first 2,000 of the bundled model's tokens, and their merges."""
    folder = make(
        tmp_path_factory.mktemp("small") / "model", tiny_model, vocab_size=VOCABULARY,
        hidden_size=64, tie_word_embeddings=True,
    )  # fmt: skip
    file = folder / "tokenizer.json"
    described = json.loads(file.read_text())
    bpe = described["model"]
    bpe["vocab"] = {token: index for token, index in bpe["vocab"].items() if index < VOCABULARY}
    pairs = ((pair, pair if isinstance(pair, list) else pair.split(" ")) for pair in bpe["merges"])
    bpe["merges"] = [pair for pair, parts in pairs if {*parts, "".join(parts)} <= set(bpe["vocab"])]
    file.write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "orders"
    return make_adapter_run(folder, small_model, ["q_proj", "k_proj", "down_proj"])


@pytest.fixture(scope="module")
def merged(run: Run) -> tuple[Any, Any]:
    return merged_model(run)


@pytest.fixture(scope="module")
def files(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run's file of each type."""
    folder = tmp_path_factory.mktemp("gguf")
    return {type: export_gguf(run.folder, folder / type, type) for type in GGUF_TYPES}


def from_gguf(file: Path) -> Any:
    """Load a file by transformers' own call."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    ).eval()


def agrees(program: LlamaCpp, model: Any, ids: list[int], tolerance: float, count: int) -> None:
    """Assert that llama.cpp's likeliest next tokens have transformers' shares, and so go on."""
    given = torch.tensor([ids])
    with torch.no_grad():
        shares = model(given).logits[0, -1].log_softmax(-1)
    found = program.next_shares(ids)
    assert len(found) == 10
    assert list(found.values()) == pytest.approx(
        [shares[token].item() for token in found], abs=tolerance
    )
    written = model.generate(given, max_new_tokens=count, do_sample=False)[0, len(ids) :].tolist()
    assert program.answer(ids, count) == written


@pytest.mark.seconds
@pytest.mark.parametrize("type", GGUF_TYPES)
def test_transformers_reads_the_file(files: dict[str, Path], merged: tuple[Any, Any], type: str):
    assert files[type].name == f"orders-{type}.gguf"
    expected = logits(merged[0])
    off = logits(from_gguf(files[type])) - expected
    assert (off.square().mean().sqrt() / expected.std()).item() <= TOLERANCE[type]
    if type == "f32":
        assert off.abs().max() <= 1e-4


@pytest.mark.parametrize("type", GGUF_TYPES)
def test_llama_cpp_gives_the_same_shares_and_tokens(
    files: dict[str, Path], merged: tuple[Any, Any], type: str
):
    program = LlamaCpp(files[type])
    # The choices of a random model are close: rounding turns one, and what follows is another text.
    count = 12 if type == "f32" else 1
    for text in TEXTS[:3]:
        agrees(program, merged[0], merged[1](text).input_ids, LOG_SHARE_TOLERANCE[type], count)


def test_llama_cpp_splits_text_as_the_tokenizer_does(
    files: dict[str, Path], merged: tuple[Any, Any]
):
    program = LlamaCpp(files["f16"])
    for text in TEXTS:
        assert program.tokens(text) == merged[1](text).input_ids, text


def test_llama_cpp_frames_a_prompt_by_the_chat_template(
    files: dict[str, Path], merged: tuple[Any, Any]
):
    program = LlamaCpp(files["f32"])
    user, assistant = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}
    for messages in ([user], [user, assistant, user], [{"role": "system", "content": "s"}, user]):
        expected = merged[1].apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert program.framed(messages) == expected


def test_the_file_names_its_base_and_its_types(files: dict[str, Path]):
    from gguf import GGUFReader

    reader = GGUFReader(files["q8_0"])
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["general.name"] == "orders"
    assert fields["tokenizer.ggml.pre"] == "smollm"
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["blk.0.attn_q.weight"] == "Q8_0"
    assert types["output_norm.weight"] == "F32"
    assert "output.weight" not in types  # the head is the embedding


def test_rotary_rows_go_side_by_side():
    halves = torch.tensor([0, 1, 2, 3, 10, 11, 12, 13])  # two heads of four rows
    assert pairs_from_halves(halves, 2).tolist() == [0, 2, 1, 3, 10, 12, 11, 13]


UNLIKE = {
    "untied": {"tie_word_embeddings": False, "rope_parameters": {
        "rope_type": "default", "rope_theta": 500_000.0}},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "wide heads": {"head_dim": 16},
    "odd widths": {"intermediate_size": 72},
}  # fmt: skip


@pytest.mark.parametrize("shape", UNLIKE)
def test_llamas_of_other_shapes_are_read_too(tmp_path: Path, small_model: Path, shape: str):
    folder = make(tmp_path / "model", small_model, vocab_size=VOCABULARY, **UNLIKE[shape])
    model, tokenizer = models.load(folder, dtype="fp32", device="cpu")
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data = torch.randn_like(parameter) / 2
    file = tmp_path / "model.gguf"
    write_gguf(model, tokenizer, file, "q8_0" if shape == "odd widths" else "f32", "model")
    exact = shape != "odd widths"
    agrees(LlamaCpp(file), model, IDS[0].tolist(), 0.02 if exact else 0.3, 4 if exact else 1)


@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe"])
def test_tokenizers_that_split_otherwise_are_named_so(tmp_path: Path, small_model: Path, name: str):
    from tokenizers import Regex, pre_tokenizers

    model, tokenizer = models.load(small_model, dtype="fp32", device="cpu")
    backend: Any = tokenizer.backend_tokenizer
    if name == "gpt-2":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, level])
        backend.model.ignore_merges = True
    file = tmp_path / "model.gguf"
    write_gguf(model, tokenizer, file, "f16", "model")
    program = LlamaCpp(file)
    for text in TEXTS:
        assert program.tokens(text) == tokenizer(text).input_ids, text


def test_what_llama_cpp_would_read_otherwise_is_refused(tmp_path: Path, small_model: Path):
    from tokenizers import pre_tokenizers

    scaled = {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "GPT2LMHeadModel is not supported here, only LlamaForCausalLM": ("gpt2", GPT2),
        "rotary embeddings of type 'linear' are not supported": ("llama", scaled),
        "has silu in its MLP, not gelu": ("llama", {"hidden_act": "gelu"}),
    }
    for number, (line, (family, fields)) in enumerate(cases.items()):
        folder = make(tmp_path / f"model-{number}", small_model, family, **fields)
        run = make_run(tmp_path / f"run-{number}", folder, method="full")
        folder.rename(run.folder / "model")
        with pytest.raises(LabError, match=line):
            export_gguf(run.folder, tmp_path / "out")
    model, tokenizer = models.load(small_model, dtype="fp32", device="cpu")
    backend: Any = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(LabError, match="does not split text in a way that is known here"):
        write_gguf(model, tokenizer, tmp_path / "model.gguf", "f16", "model")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "model.gguf").exists()


@pytest.mark.slow
def test_the_bundled_model_answers_in_llama_cpp_as_in_transformers(tmp_path: Path):
    """16-bit weights from bf16: what fp16 cannot hold is too small for any answer to show."""
    model, tokenizer = models.load(dtype="fp32", device="cpu")
    file = tmp_path / "model.gguf"
    write_gguf(model, tokenizer, file, "f16", "model", models.BUNDLED_NAME)
    program = LlamaCpp(file)
    for prompt in ("What is the capital of France?", "Name three colors."):
        assert program.chat(prompt, 20).strip() == answer(model, tokenizer, [prompt], 20)[0]
