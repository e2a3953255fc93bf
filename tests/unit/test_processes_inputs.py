"""What several processes refuse, each in one line; and how a step's rows are dealt out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs_lib.errors import LabError
from labs_lib.train import command
from labs_lib.training import Recipe, shared_step
from labs_lib.training.processes.launching import without_count
from labs_lib.training.processes.ranks import Ranks
from labs_lib.training.processes.report import check_shared


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(**{"name": "shared", "steps": 2, "batch_size": 4, **fields})


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "count", "share"),
    [(8, 1, 1, (8, 1)), (8, 1, 2, (4, 1)), (1, 8, 2, (1, 4)), (4, 6, 2, (4, 3)), (4, 3, 2, (3, 2))],
)
def test_each_process_takes_its_share(
    batch_size: int, accumulation: int, count: int, share: tuple[int, int]
) -> None:
    asked = recipe(batch_size=batch_size, accumulation=accumulation)
    assert Ranks(count=count).share(asked) == share


def test_rows_that_cannot_be_dealt_out_evenly_are_refused() -> None:
    with pytest.raises(LabError, match="3 cannot share the 8 rows of a step") as refusal:
        Ranks(count=3).share(recipe(batch_size=8))
    assert "give one of 1, 2, 4, 8 processes" in str(refusal.value)


def test_a_step_to_look_at_is_refused_before_a_process_starts() -> None:
    with pytest.raises(LabError, match="3 cannot share the 8 rows of a step"):
        shared_step(recipe(batch_size=8), 3)


def test_what_processes_cannot_do_together_is_refused() -> None:
    two = Ranks(count=2, sharding="fsdp2")
    with pytest.raises(LabError, match="stop_when_worse: 2: early stopping takes one process"):
        check_shared(recipe(eval_every=1, stop_when_worse=2), two)
    with pytest.raises(LabError, match="paged_adamw_8bit comes from bitsandbytes") as refusal:
        check_shared(recipe(optimizer="paged_adamw_8bit"), two)
    assert "give one of adamw" in str(refusal.value)
    check_shared(recipe(optimizer="paged_adamw_8bit"), Ranks(count=2))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--sharding", "fsdp"], "'fsdp' is not one of ddp, fsdp2; did you mean 'fsdp2'?"),
        (["--sharding", "fsdp2"], "fsdp2 divides a model among processes, and this is one"),
        (["--offload", "--processes", "2"], "--offload: under ddp each process has all"),
        (["--processes", "-1"], "--processes: -1: give a whole number from 1"),
        (["--processes", "3"], "3 cannot share the 4 rows of a step"),
    ],
)
def test_bad_options_are_refused_before_a_process_starts(options: list[str], line: str) -> None:
    with pytest.raises(LabError) as refusal:
        command.main(["sea-captain", *options], standalone_mode=False)
    assert line in str(refusal.value)


def test_a_launched_process_is_not_told_how_many_there_are(tmp_path: Path) -> None:
    given = ["sea-captain", "--processes", "2", "--out", "x", "--processes=3", "--resume"]
    assert without_count(given) == ["sea-captain", "--out", "x", "--resume"]
