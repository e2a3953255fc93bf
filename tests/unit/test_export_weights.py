"""Adapter and merged model as PEFT and transformers load them elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from adapter_making import logits
from click.testing import CliRunner
from run_making import make_adapter_run, make_run

from labs_lib import models
from labs_lib.cli import labs
from labs_lib.errors import LabError
from labs_lib.export import export_adapter, export_merged, merge_note, write_card
from labs_lib.models import BUNDLED_NAME
from labs_lib.training import Run, load_adapter

TOLERANCE = {"fp32": 1e-5, "bf16": 0.05, "fp16": 0.01}
"""Of the logits' spread, root mean square."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "tiny.run"
    return make_adapter_run(folder, tiny_model, ["q_proj", "down_proj"])


@pytest.fixture(scope="module")
def expected(run: Run, tiny_model: Path) -> torch.Tensor:
    """The logits of base and adapter, in fp32."""
    return logits(load_adapter(models.load_model(tiny_model, "fp32", device="cpu"), run.output))


def test_peft_loads_the_adapter_by_its_own_call(run: Run, expected: torch.Tensor, tmp_path: Path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    write_card(run.folder)
    folder = export_adapter(run.folder, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    base = AutoModelForCausalLM.from_pretrained(
        config["base_model_name_or_path"], dtype=torch.float32
    )
    assert torch.equal(logits(PeftModel.from_pretrained(base, str(folder)).eval()), expected)
    names = {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert {file.name for file in folder.iterdir()} == names


def test_a_base_of_the_catalogue_is_named_as_the_hub_names_it(run: Run, tmp_path: Path):
    other = make_run(tmp_path / "named", BUNDLED_NAME)
    shutil.copytree(run.output, other.output)
    folder = export_adapter(other.folder, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_transformers_loads_the_merged_model(
    run: Run, expected: torch.Tensor, tmp_path: Path, dtype: str
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = export_merged(run.folder, tmp_path / "merged", dtype)
    merged = AutoModelForCausalLM.from_pretrained(folder)
    assert str(merged.dtype).endswith({"fp32": "32", "bf16": "bfloat16", "fp16": "16"}[dtype])
    off = logits(merged.float().eval()) - expected
    assert (off.square().mean().sqrt() / expected.std()).item() < TOLERANCE[dtype]
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_a_model_that_was_trained_whole_is_exported_as_it_is(tiny_model: Path, tmp_path: Path):
    run = make_run(tmp_path / "full", tiny_model, method="full")
    shutil.copytree(tiny_model, run.folder / "model")
    merged = models.load_model(export_merged(run.folder, tmp_path / "out", "fp32"), "fp32")
    assert torch.equal(logits(merged), logits(models.load_model(tiny_model, "fp32")))
    with pytest.raises(LabError, match="trained all parameters, so it left a model and no adapter"):
        export_adapter(run.folder, tmp_path / "adapter")


def test_a_qlora_run_is_merged_into_the_base_in_16_bits_and_says_so(
    run: Run, expected: torch.Tensor, tiny_model: Path, tmp_path: Path
):
    qlora = make_run(tmp_path / "qlora", tiny_model, method="qlora")
    shutil.copytree(run.output, qlora.output)
    arguments = ["export", str(qlora.folder), "--to", "merged", "--dtype", "fp32"]
    done = CliRunner().invoke(labs, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Note: qlora was trained on its base in nf4 and is merged into the base" in done.output
    assert merge_note(run) == ""
    merged = models.load_model(tmp_path / "out", "fp32", device="cpu")
    assert (logits(merged) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "--to", "adapter"], "run: nowhere holds no finished run"),
        (["RUN", "--to", "gguff"], "'gguff' is not one of card, adapter, merged, gguf; did you"),
        (["RUN", "--to", "merged", "--dtype", "bf61"], "dtype: 'bf61' is not one of bf16, fp16,"),
        (["RUN", "--to", "gguf", "--type", "q4_0"], "type: 'q4_0' is not one of f32, f16, q8_0"),
        (["RUN", "--to", "card", "--dtype", "bf16"], "--dtype: goes with --to merged, not with"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run, tmp_path: Path, arguments: list[str], line: str
):
    given = [str(run.folder) if each == "RUN" else each for each in arguments]
    done = CliRunner().invoke(labs, ["export", *given, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, LabError)
    assert line in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["adapter", "merged", "gguf"])
def test_a_folder_that_is_there_stays_as_it_is(run: Run, tmp_path: Path, kind: str):
    (tmp_path / "thesis.txt").write_text("years of work")
    arguments = ["export", str(run.folder), "--to", kind, "--out", str(tmp_path)]
    done = CliRunner().invoke(labs, arguments)
    assert "exists already; give a new folder" in str(done.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("kind", ["adapter", "merged", "gguf"])
def test_a_full_disk_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    arguments = ["export", str(run.folder), "--to", kind, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(labs, arguments)
    assert "No space left on device" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
