"""A run as a whole: provenance, resuming after a kill, running out of memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.training import Recipe, Run, session, train
from labs_lib.training.progress import Silent

# One worker makes what the whole file reads.
pytestmark = pytest.mark.xdist_group("training_session")


def tiny_recipe(model: Path, **changes: Any) -> Recipe:
    """Return a recipe that trains the tiny model in about a second, dropout included."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "model": str(model),
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        "rank": 4,
        "dropout": 0.1,
        "learning_rate": 1e-2,
        "steps": 24,
        "batch_size": 4,
        "checkpoint_every": 4,
        "eval_rows": 2,
        "eval_tokens": 4,
    }
    return Recipe.of(**fields | changes)


def output_bytes(folder: Path) -> bytes:
    """Return the bytes of what the run trained."""
    (weights,) = [*folder.glob("adapter/*.safetensors"), *folder.glob("model/*.safetensors")]
    return weights.read_bytes()


@pytest.fixture(scope="module")
def whole_run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return an uninterrupted run."""
    return train(
        tiny_recipe(tiny_model), tmp_path_factory.mktemp("whole") / "run", progress=Silent()
    )


def test_a_run_tells_what_it_did_and_what_it_cost(whole_run: Run) -> None:
    values = json.loads((whole_run.folder / "run.json").read_text(encoding="utf-8"))
    assert values["recipe"]["rank"] == 4
    assert set(values["versions"]) >= {"torch", "transformers", "peft", "trl"}
    assert len(values["losses"]) == 24
    assert values["losses"][-1] < values["losses"][0]
    assert values["after"]["loss"] < values["before"]["loss"]
    assert len(values["data_fingerprint"]) == 64
    cost = whole_run.cost
    assert cost.peak_kind == ("CUDA allocator" if torch.cuda.is_available() else "live tensors")
    assert cost.tokens > 24 * 4 * 10
    assert cost.train_seconds > 0
    # The embedding alone is 49,152 × 64 numbers; the process holds more than the tensors.
    width = 2 if whole_run.hardware["precision"] == "bf16" else 4
    assert width * 49152 * 64 < cost.peak_bytes < cost.process_peak_bytes
    # rank 4: q_proj 64+64, v_proj 64+32, down_proj 128+64, in two layers
    assert whole_run.trainable_parameters == 2 * 4 * (128 + 96 + 192)


def test_a_run_is_read_back_as_it_was_written(whole_run: Run) -> None:
    assert Run.load(whole_run.folder) == whole_run


def test_an_adapter_names_its_base_and_no_place_on_this_machine_but_the_models(
    whole_run: Run, tiny_model: Path
) -> None:
    for file in whole_run.output.glob("*.json"):
        text = file.read_text(encoding="utf-8").replace(json.dumps(str(tiny_model)), "")
        assert str(Path.home()) not in text
        assert "/tmp" not in text


def test_reuse_reads_a_finished_run_and_trains_a_changed_one(
    whole_run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_train", lambda *_: pytest.fail("trained again"))
    assert train(whole_run.recipe, whole_run.folder, reuse=True) == whole_run
    changed = whole_run.recipe.but(seed=1)
    with pytest.raises(pytest.fail.Exception):
        train(changed, whole_run.folder.parent / "changed", reuse=True, progress=Silent())


def test_a_home_folder_may_be_written_short(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    run = train(tiny_recipe(tiny_model, steps=1), "~/runs/one", progress=Silent())
    assert run.output == tmp_path / "runs" / "one" / "adapter"
    assert Run.load("~/runs/one").output.is_dir()
    monkeypatch.setattr(session, "_train", lambda *_: pytest.fail("trained again"))
    assert train(run.recipe, "~/runs/one", reuse=True, progress=Silent()) == run


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    whole_run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    again = train(tiny_recipe(tiny_model), tmp_path / "again", progress=Silent())
    other = train(tiny_recipe(tiny_model, seed=1), tmp_path / "other", progress=Silent())
    assert output_bytes(again.folder) == output_bytes(whole_run.folder)
    assert output_bytes(other.folder) != output_bytes(whole_run.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "full", "learning_rate": 1e-3},
        {"method": "qlora", "target_modules": "all-linear"},
        {"checkpointing": True},
        {"accumulation": 2, "steps": 3},
        {"epochs": 0.2, "steps": None},
        {"rslora": True},
    ],
    ids=str,
)
def test_every_way_to_train_learns(
    changes: dict[str, object], tiny_model: Path, tmp_path: Path
) -> None:
    run = train(tiny_recipe(tiny_model, **changes), tmp_path / "run", progress=Silent())
    assert run.after.loss is not None
    assert run.before.loss is not None
    assert run.after.loss < run.before.loss
    assert output_bytes(run.folder)
    saved = "model on disk" if run.recipe.method == "full" else "adapter on disk"
    assert saved in dict(run.table())


CHILD = """
import os, sys
from pathlib import Path
from typing import Any
from labs_lib.training import Recipe, session, train
from labs_lib.training.progress import Silent
import labs_lib.training.engine.trainer, peft, trl, transformers.models.llama.modeling_llama
recipe = Recipe.from_yaml(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        train(recipe, line.strip(), resume=True, progress=Silent())
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")
@pytest.mark.parametrize(("method", "kills"), [("lora", 10), ("qlora", 6)])
def test_killed_at_random_moments_it_resumes_to_the_same_adapter(
    tiny_model: Path, tmp_path: Path, method: str, kills: int
) -> None:
    import yaml

    recipe_file = tmp_path / "recipe.yaml"
    recipe = tiny_recipe(tiny_model, method=method)
    recipe_file.write_text(yaml.safe_dump(recipe.model_dump()), encoding="utf-8")
    folder = tmp_path / "run"
    # The parent imports the libraries once; each run is a fork of it, and is killed as a whole.
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(recipe_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin
    assert parent.stdout
    assert parent.stdout.readline() == "ready\n"
    # The run to equal is made by such a fork too: the last bits depend on the number of threads,
    # which other tests of this process may have changed.
    whole = tmp_path / "whole"
    print(whole, file=parent.stdin, flush=True)
    assert int(parent.stdout.readline()) > 0
    assert int(parent.stdout.readline()) == 0
    moments = random.Random(7)
    killed, status = 0, -1
    # A run that ended before its kill came is started anew, so that every kill hits a live run.
    while killed < kills or status != 0:
        print(folder, file=parent.stdin, flush=True)
        child = int(parent.stdout.readline())
        if killed < kills:
            time.sleep(moments.uniform(0.05, 4.0))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(parent.stdout.readline())
        if killed < kills:
            if status == signal.SIGKILL:
                killed += 1
            else:
                assert status == 0
                assert output_bytes(folder) == output_bytes(whole)
                shutil.rmtree(folder)
        for adapter in folder.glob("adapter"):
            assert (adapter / "adapter_config.json").exists()
            assert output_bytes(folder) == output_bytes(whole)
    parent.stdin.close()
    parent.wait(timeout=30)
    assert output_bytes(folder) == output_bytes(whole)
    assert Run.load(folder).losses == Run.load(whole).losses


def test_out_of_gpu_memory_says_what_to_change_and_keeps_the_checkpoint(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def run_out(*_: object) -> Run:
        (folder / "checkpoints" / "checkpoint-4").mkdir(parents=True)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. More")

    monkeypatch.setattr(session, "_train", run_out)
    recipe = tiny_recipe(tiny_model, batch_size=8, max_length=512)
    with pytest.raises(LabError) as error:
        train(recipe, folder, progress=Silent())
    text = str(error.value)
    for part in ("checkpointing: true", "batch_size: 4, accumulation: 2", "max_length: 256"):
        assert part in text
    assert (folder / "checkpoints" / "checkpoint-4").exists()


def test_each_change_names_the_gibibytes_that_it_saves() -> None:
    from labs_lib.training.advice import changes, does_not_fit

    recipe = Recipe.of(model="llama-2-7b", batch_size=8, max_length=1024, steps=1)
    line = str(does_not_fit(recipe, "bf16", "CUDA out of memory. Tried to allocate 2 GiB"))
    assert 3 <= line.count("saves about") <= len(changes(recipe)) == 4
    assert "saves about -" not in line
    assert "\n" not in line
    unknown = Recipe.of(model="someone/unheard-of", steps=1)
    assert "saves" not in str(does_not_fit(unknown, "bf16", "CUDA out of memory"))
