"""A run in two processes is the run of one: rows, losses, adapter, checkpoints, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_training_session import tiny_recipe

from labs_lib.training import Recipe, Run, train
from labs_lib.training.folder.checkpoints import checkpoints_in
from labs_lib.training.progress import Silent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]

LAUNCH = (
    "import sys; from labs_lib.cli import one_line_errors\n"
    "from labs_lib.training.processes.launching import started\n"
    "with one_line_errors('labs_lib.train'): started(2, sys.argv[1:])"
)
SAME = {"dropout": 0.0, "precision": "fp32", "steps": 20, "checkpoint_every": 0}
SHORT = SAME | {"steps": 8}
ONCE = {"batch_size": 4, "accumulation": 1}
BY_PARTS = {"batch_size": 1, "accumulation": 4}  # two micro-batches in each of two processes


def recipes(model: Path) -> dict[str, Recipe]:
    """Return what is trained in one process and in two."""
    return {
        "lora": tiny_recipe(model, **SAME, **BY_PARTS),
        "full": tiny_recipe(model, **SHORT, **BY_PARTS, method="full", learning_rate=1e-3),
        "qlora": tiny_recipe(model, **SHORT, **BY_PARTS, method="qlora"),
        "resumed": tiny_recipe(model, **SHORT | {"checkpoint_every": 4}, **ONCE),
    }


WAYS = [
    ("lora", "ddp"),
    ("full", "ddp"),
    ("qlora", "ddp"),
    ("lora", "fsdp2"),
    ("full", "fsdp2"),
    ("qlora", "fsdp2"),
]


class _Stops(Silent):
    """Ends a run after its sixth step, as a person does."""

    def step(self, done: int, total: int, loss: float) -> None:
        if done == 6:
            raise KeyboardInterrupt(f"after step {done} of {total}, loss {loss}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def alone(tiny_model: Path, folder: Path) -> dict[str, Run]:
    """Return each recipe's run in one process."""
    asked = recipes(tiny_model)
    with pytest.raises(KeyboardInterrupt):
        train(asked["resumed"], folder / "by-two", progress=_Stops())
    return {
        name: train(recipe, folder / f"one-{name}", progress=Silent())
        for name, recipe in asked.items()
    }


@pytest.fixture(scope="module")
def ending(tiny_model: Path, folder: Path, alone: dict[str, Run]) -> Any:
    """Return how the two processes ended that trained everything else here."""
    asked = recipes(tiny_model)
    plans = [(f"{name}-{way}", asked[name].model_dump(), way, "") for name, way in WAYS]
    plans.append(("by-two", asked["resumed"].model_dump(), "fsdp2", "resumes"))
    plans.append(("killed", asked["resumed"].model_dump(), "fsdp2", "dies"))
    (folder / "plans.json").write_text(json.dumps(plans))
    driver = Path(__file__).with_name("rank_runs.py")
    return subprocess.run(
        [sys.executable, "-c", LAUNCH, str(driver), str(folder / "plans.json"), str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture(scope="module")
def pair(folder: Path, ending: Any) -> dict[str, Run]:
    """Return each run in two processes, by recipe and sharding."""
    assert not (folder / "killed" / "run.json").exists()
    missing = [name for name, way in WAYS if not (folder / f"{name}-{way}" / "run.json").exists()]
    assert not missing, ending.stderr
    return {f"{name}-{way}": Run.load(folder / f"{name}-{way}") for name, way in WAYS}


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_two_processes_learn_what_one_learns(
    alone: dict[str, Run], pair: dict[str, Run], name: str, way: str
) -> None:
    one, two = alone[name], pair[f"{name}-{way}"]
    exact = name != "qlora"  # its products are in bf16 on some machines, whose rounding grows
    assert two.losses == pytest.approx(one.losses, abs=1e-4 if exact else 5e-4)
    assert two.losses[:3] == pytest.approx(one.losses[:3], rel=1e-6 if exact else 1e-5)
    assert two.losses[-1] < one.losses[0] - 0.05
    assert two.before.loss == pytest.approx(one.before.loss, abs=1e-6)
    assert two.after.loss == pytest.approx(one.after.loss, abs=1e-4 if exact else 5e-4)
    assert two.before.answers == one.before.answers
    assert two.cost.tokens == one.cost.tokens
    assert two.loss_from == one.loss_from
    assert two.trainable_parameters == one.trainable_parameters
    assert (two.rows, two.data_fingerprint) == (one.rows, one.data_fingerprint)


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_what_two_processes_save_is_whole(
    alone: dict[str, Run], pair: dict[str, Run], name: str, way: str
) -> None:
    one, two = alone[name].output, pair[f"{name}-{way}"].output
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in one.iterdir())
    for file in one.glob("*.safetensors"):
        first, second = load_file(file), load_file(two / file.name)
        assert {n: (t.shape, t.dtype) for n, t in first.items()} == {
            n: (t.shape, t.dtype) for n, t in second.items()
        }
        for tensor in first:
            torch.testing.assert_close(second[tensor], first[tensor], atol=2e-3, rtol=0)
    for file in one.glob("*config.json"):
        assert _settings(file) == _settings(two / file.name)


def _settings(file: Path) -> dict[str, Any]:
    """Return what a configuration says, sets in one order, and nothing of the process it is of."""
    read = json.loads(file.read_text())
    read.pop("local_files_only", None)
    return {name: sorted(v) if isinstance(v, list) else v for name, v in read.items()}


def test_fsdp2_gives_each_process_half_of_the_parameters(pair: dict[str, Run]) -> None:
    for name in ("lora", "full"):
        run = pair[f"{name}-fsdp2"]
        assert run.ranks["parameter_bytes"] == [run.total_parameters * 4 // 2] * 2
    complete = pair["lora-ddp"]
    assert complete.ranks["parameter_bytes"] == [complete.total_parameters * 4] * 2
    quantized = pair["qlora-fsdp2"].ranks
    assert quantized["parameter_bytes"][0] == quantized["parameter_bytes"][1]


def test_a_run_says_what_each_process_took_and_what_was_forecast(pair: dict[str, Run]) -> None:
    for name, run in pair.items():
        ranks = run.ranks
        assert (ranks["count"], ranks["sharding"]) == (2, name.partition("-")[2])
        assert ranks["at_once"] * ranks["accumulation"] * 2 == run.recipe.rows_per_step
        assert all(peak > 0 for peak in ranks["peak_bytes"] + ranks["process_peak_bytes"])
        assert ranks["forecast"]["peak_bytes"] > ranks["forecast"]["held_bytes"] > 0
        assert ranks["sent_bytes"] == [ranks["forecast"]["sent_bytes"]] * 2, name


def test_two_processes_go_on_where_one_stopped(
    alone: dict[str, Run], folder: Path, ending: Any
) -> None:
    resumed = Run.load(folder / "by-two")
    assert resumed.losses == pytest.approx(alone["resumed"].losses, abs=1e-4)
    assert resumed.cost.tokens == alone["resumed"].cost.tokens


def test_a_killed_process_ends_the_run_with_one_line(ending: Any, folder: Path) -> None:
    assert ending.returncode == 2
    assert ending.stderr.splitlines() == [
        "labs_lib.train: process 2 of 2 was ended by SIGKILL; the last checkpoint is kept: "
        "--resume goes on from it"
    ]
    assert [path.name for path in checkpoints_in(folder / "killed" / "checkpoints")] == [
        "checkpoint-4"
    ]


def test_one_process_goes_on_where_two_were_killed(
    alone: dict[str, Run], tiny_model: Path, folder: Path, ending: Any
) -> None:
    resumed = train(
        recipes(tiny_model)["resumed"], folder / "killed", resume=True, progress=Silent()
    )
    assert resumed.losses == pytest.approx(alone["resumed"].losses, abs=1e-4)
    assert resumed.cost.tokens == alone["resumed"].cost.tokens
    assert not list((folder / "killed").rglob(".writing-*"))
