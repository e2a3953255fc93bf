"""A worker that trains: the record is that of one process but for seconds and threads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib.cli import main
from labs_lib.training import Sweep, run_sweep
from labs_lib.training.progress import Silent

pytestmark = pytest.mark.slow


@pytest.fixture
def one_thread() -> Any:
    """Compute as each of two workers on two cores does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_sweep(model: Path) -> dict[str, Any]:
    """Return a sweep of two points."""
    recipe = {"model": str(model), "dataset": "sea-captain", "steps": 2, "batch_size": 2}
    recipe |= {"eval_rows": 2, "eval_tokens": 4, "max_length": 64, "precision": "fp32"}
    recipe |= {"target_modules": "all-linear", "train_rows": 8}
    return {
        "name": "tiny", "recipe": recipe, "seeds": [0],
        "points": [{"rank": 1, "learning_rate": 1e-3}, {"rank": 4, "learning_rate": 1e-3}],
    }  # fmt: skip


def without_time(file: Path) -> dict[str, Any]:
    """Return a record without what differs from one hour to the next, and how many threads."""
    values = json.loads(file.read_text(encoding="utf-8"))
    del values["finished_utc"], values["hardware"]["threads"]
    for point in values["points"]:
        assert point.pop("seconds_per_step") > 0
    return values


def test_a_worker_records_what_one_process_records(
    tiny_model: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
):
    fields = tiny_sweep(tiny_model)
    run_sweep(Sweep(**fields), tmp_path / "serial.json", progress=Silent())
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(fields), encoding="utf-8")  # JSON is YAML
    out, storage = tmp_path / "shared.json", tmp_path / "s.journal"
    with pytest.raises(SystemExit) as stop:
        main(["sweep", str(file), "--out", str(out), "--workers", "1", "--storage", str(storage)])
    assert stop.value.code == 0
    assert without_time(out) == without_time(tmp_path / "serial.json")
    told = capsys.readouterr()
    assert f"saved in {out}" in told.out
    assert "2 of 2 runs done" in told.err
