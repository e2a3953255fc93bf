"""Bad input of every kind: one clear line, exit status 2, nothing written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from labs_lib.cli import main

GOOD = "name: t\ndataset: sea-captain\nsteps: 1\n"


def labs(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run `labs`, expect status 2 and exactly one line on stderr; return that line."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    output = capsys.readouterr()
    assert stop.value.code == 2, output
    lines = output.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("labs: ")
    assert "Traceback" not in output.err + output.out
    return lines[0]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a legal recipe file."""
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


FIELDS = [
    ("rank=0", ["rank", "0", "greater than or equal to 1"]),
    ("rank=-4", ["rank", "-4"]),
    ("rank=eight", ["rank", "'eight'", "integer"]),
    ("rank=8.5", ["rank", "8.5"]),
    ("rank=null", ["rank", "None"]),
    ("alpha=-1", ["alpha", "-1", "greater than 0"]),
    ("alpha=0", ["alpha", "0"]),
    ("alpha=.nan", ["alpha", "nan"]),
    ("alpha=.inf", ["alpha", "inf"]),
    ("alpha=loud", ["alpha", "'loud'"]),
    ("dropout=1", ["dropout", "1", "less than 1"]),
    ("dropout=-0.1", ["dropout", "-0.1"]),
    ("bias=lora", ["bias", "'lora'", "'none', 'all' or 'lora_only'"]),
    ("method=qlroa", ["method", "'qlroa'", "'full', 'lora', 'qlora', 'rslora'"]),
    ("quantization=nf3", ["quantization", "'nf3'", "'nf4' or 'fp4'"]),
    ("learning_rate=0", ["learning_rate", "greater than 0"]),
    ("learning_rate=20", ["learning_rate", "20", "less than or equal to 1"]),
    ("learning_rate=fast", ["learning_rate", "'fast'"]),
    ("schedule=cosin", ["schedule", "'cosin'", "'constant', 'linear' or 'cosine'"]),
    ("steps=0", ["steps", "0"]),
    ("steps=ten", ["steps", "'ten'"]),
    ("epochs=-1", ["epochs", "-1"]),
    ("steps=null", ["give steps or epochs"]),
    ("warmup_steps=5", ["warmup_steps must be below steps (1)"]),
    ("batch_size=0", ["batch_size", "0"]),
    ("batch_size=[8]", ["batch_size", "[8]"]),
    ("accumulation=0", ["accumulation", "0"]),
    ("max_length=4", ["max_length", "4", "greater than or equal to 8"]),
    ("seed=-1", ["seed", "-1"]),
    ("seed=true", ["seed", "True"]),
    ("precision=fp8", ["precision", "'fp8'", "'auto', 'fp32' or 'bf16'"]),
    ("checkpointing=perhaps", ["checkpointing", "'perhaps'", "boolean"]),
    ("target_modules=[]", ["target_modules", "all-linear"]),
    ("target_modules=7", ["target_modules", "7"]),
    ("target_modules=q_porj", ["'q_porj'", "did you mean 'q_proj'?"]),
    ("target_modules=[q_proj, v_porj]", ["'v_porj'", "did you mean 'v_proj'?"]),
    ("model=smolm2-135m-instruct", ["'smolm2-135m-instruct'", "smollm2-135m-instruct'?"]),
    ("model=./no/such/folder", ["no/such/folder"]),
    ("name=../elsewhere", ["name", "'../elsewhere'"]),
    ("dataset=sea-captian", ["dataset", "'sea-captian'", "did you mean 'sea-captain'?"]),
    ("dataset=''", ["dataset", "''"]),
    ("rnak=8", ["--set", "'rnak'", "did you mean 'rank'?"]),
    ("rank", ["--set", "key=value"]),
    ("=8", ["--set", "key=value"]),
    ("rank=[1", ["--set rank", "YAML"]),
]


@pytest.mark.parametrize(("assignment", "expected"), FIELDS, ids=[f[0] for f in FIELDS])
def test_a_recipe_field_is_explained(
    assignment: str,
    expected: list[str],
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    line = labs(capsys, "train", str(recipe), "--set", assignment, "--out", str(out))
    for part in expected:
        assert part in line
    assert not out.exists()


FILES = [
    ("rank: 8\nrnak: 4\n", ["rnak", "no such field", "did you mean 'rank'?"]),
    ("rank: [1,\n", ["line"]),
    ("- rank\n- alpha\n", ["expected fields"]),
    ("", ["expected fields"]),
    ("8: rank\n", ["field names must be words"]),
    ("!!python/object/apply:os.system ['true']\n", ["line 1", "could not determine a constructor"]),
]


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_a_recipe_file_is_explained(
    text: str, expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    line = labs(capsys, "train", str(path))
    for part in ["recipe.yaml", *expected]:
        assert part in line


def test_a_missing_recipe_names_the_nearest_file(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = labs(capsys, "train", str(recipe.with_name("recpie.yaml")))
    assert "no file" in line
    assert "recipe.yaml'?" in line


def test_a_recipe_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00rank")
    assert "cannot read" in labs(capsys, "train", str(path))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], ["'trian'", "did you mean 'train'?"]),
        (["train"], ["RECIPE"]),
        (["train", "x.yaml", "--stes", "3"], ["--stes"]),
        (["generate"], ["PROMPT"]),
        (["generate", ""], ["PROMPT", "empty"]),
        (["generate", "hi", "--max-new-tokens", "0"], ["--max-new-tokens", "0"]),
        (["generate", "hi", "--adapter", "nowhere"], ["adapter", "nowhere"]),
        (["merge", "nowhere", "--out", "x"], ["adapter", "nowhere"]),
        (["merge", "nowhere"], ["--out"]),
    ],
)
def test_the_command_line_is_explained(
    arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = labs(capsys, *arguments)
    for part in expected:
        assert part in line


ADAPTER_CONFIG = {"peft_type": "LORA", "base_model_name_or_path": "smollm2-135m-instruct"}


def adapter_folder(folder: Path, weights: bytes | None, config: str | None = None) -> Path:
    """Write an adapter folder with these parts."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(config or json.dumps(ADAPTER_CONFIG))
    if weights is not None:
        (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


@pytest.mark.parametrize(
    ("weights", "config", "expected"),
    [
        (None, None, "holds no adapter_model.safetensors"),
        (b"", None, "damaged or cut short"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", None, "damaged or cut short"),
        (b"x" * 400, None, "damaged or cut short"),
        (b"x", "{", "is not JSON"),
        (b"x", "[]", "no peft_type"),
    ],
)
def test_a_damaged_adapter_is_explained(
    weights: bytes | None,
    config: str | None,
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = adapter_folder(tmp_path / "adapter", weights, config)
    assert expected in labs(capsys, "generate", "hi", "--adapter", str(folder))


def test_the_runs_folder_is_not_its_adapter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter_folder(tmp_path / "adapter", b"x")
    assert "did you mean" in labs(capsys, "generate", "hi", "--adapter", str(tmp_path))


def test_a_folder_with_other_files_is_left_alone(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")
    line = labs(capsys, "train", str(recipe), "--out", str(out))
    assert "no run of this course" in line
    assert (out / "chapter.txt").read_text() == "years of work"


def test_out_is_a_file(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "file"
    out.write_text("x")
    assert "is a file" in labs(capsys, "train", str(recipe), "--out", str(out))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_explained(
    number: int,
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    line = labs(capsys, "train", str(recipe), "--out", str(tmp_path / "out"))
    assert "cannot write" in line
    assert os.strerror(number) in line
    assert not list((tmp_path / "out").glob("*"))


def test_resuming_with_another_recipe_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from labs_lib.training.recipe import Recipe

    out = tmp_path / "out"
    out.mkdir()
    earlier = Recipe.from_yaml(recipe, rank=4).model_dump()
    (out / "recipe.json").write_text(json.dumps(earlier))
    line = labs(capsys, "train", str(recipe), "--out", str(out), "--resume")
    assert "--resume: rank is 8, but the run to resume has 4" in line


COMPARE = [
    (["--methods", "lora,qlra"], ["--methods", "'qlra'", "did you mean 'qlora'"]),
    (["--methods", ","], ["at least one method"]),
    (["--seeds", "0,one"], ["--seeds", "whole numbers"]),
    (["--seeds", "-1"], ["--seeds", "whole numbers"]),
    (["--seeds", "٣"], ["--seeds", "whole numbers"]),
    (["--probe-rows", "0"], ["--probe-rows", "0"]),
    (["--plot", "nowhere/plot.png"], ["--plot", "folder that exists"]),
    (["--plot", "plot.jpg"], ["--plot", ".png"]),
    (["--set", "rnak=8"], ["'rnak'", "did you mean 'rank'"]),
]


@pytest.mark.parametrize(("arguments", "parts"), COMPARE, ids=lambda each: " ".join(each))
def test_a_bad_comparison(arguments, parts, recipe, tmp_path, capsys):
    line = labs(capsys, "compare", str(recipe), "--out", str(tmp_path / "out"), *arguments)
    for part in parts:
        assert part in line, line
    assert not (tmp_path / "out").exists()


def test_a_comparison_without_its_recipe(tmp_path, capsys):
    assert "no file" in labs(capsys, "compare", str(tmp_path / "recipe.yml"))
