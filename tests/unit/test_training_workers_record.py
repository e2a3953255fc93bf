"""A worker that trains: the record is that of one process but for seconds and threads."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib.cli import main
from labs_lib.training import Sweep, run_sweep
from labs_lib.training.progress import Silent
from labs_lib.training.workers import distributing
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.work import Crew
from labs_lib.training.workers.worker import Post, do_what_waits

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


class Within:
    """A pool whose one worker is a thread of this process, which has loaded the libraries."""

    def __init__(self, work: Any, crew: Crew, _quiet: bool):
        post = Post(crew.storage, "within", crew.pace, quiet=True)
        self._thread = threading.Thread(target=do_what_waits, args=(work, post))
        self._thread.start()

    def look_after(self, study: SharedStudy) -> None:
        assert self._thread.is_alive() or not study.failure_among("within")

    def stop(self, _study: SharedStudy, _finished: bool) -> None:
        self._thread.join()


def test_a_worker_trains_the_arms_of_a_comparison(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(distributing, "_start", Within)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps({"name": "tiny", **tiny_sweep(tiny_model)["recipe"]}))
    common = [str(recipe), "--methods", "lora,full", "--probe-rows", "2", "--out"]
    records = []
    for folder, options in (("serial", []), ("shared", ["--workers", "1"])):
        with pytest.raises(SystemExit) as stop:
            main(["compare", *common, str(tmp_path / folder), *options])
        assert stop.value.code == 0
        records.append(json.loads((tmp_path / folder / "comparison.json").read_text("utf-8")))
        assert not list((tmp_path / folder).glob("*.journal*"))
    assert "2 of 2 runs done" in capsys.readouterr().err
    for values in records:
        del values["finished_utc"]
        for arm in values["arms"]:
            for name in ("seconds_per_step", "tokens_per_second", "train_seconds"):
                assert arm.pop(name) > 0
    assert records[0] == records[1]
