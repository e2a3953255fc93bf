"""`torchrun -m labs_lib.train` itself: a killed process ends all, and another number goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_training_session import tiny_recipe

import labs_lib
from labs_lib.training import Run
from labs_lib.training.folder.checkpoints import checkpoints_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS, CHECKPOINT_EVERY = 120, 40


def children_of(process: subprocess.Popen[Any]) -> list[int]:
    """Return the process numbers of those that a process has started, on Linux."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(number) for task in tasks for number in task.read_text().split()]


def started(launcher: Sequence[str], *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "labs_lib.train", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for children as Linux does")
def test_a_process_of_torchrun_is_killed_and_one_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    asked = tiny_recipe(tiny_model, steps=STEPS, checkpoint_every=CHECKPOINT_EVERY)
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(asked.model_dump(mode="json", exclude_defaults=True)))

    with started(TORCHRUN, recipe, "--out", out) as process:
        deadline = time.monotonic() + 120
        while not checkpoints_in(out / "checkpoints"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = children_of(process)
        assert len(pids) == 2
        os.kill(pids[1], signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not (out / "run.json").exists()
    assert "Signal 9 (SIGKILL)" in said
    assert str(Path(labs_lib.__file__).parent) not in said  # no traceback of ours beside torchrun's
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)

    with started([], recipe, "--out", out, "--resume") as resumed:
        _, said = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, said
    run = Run.load(out)
    assert len(run.losses) == STEPS
