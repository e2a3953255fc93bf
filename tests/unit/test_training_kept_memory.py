"""Freed memory is kept from step to step while every weight is trained, and handed back after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_training_session import tiny_recipe

from labs_lib.training import train
from labs_lib.training.engine import kept_memory, trainer
from labs_lib.training.engine.kept_memory import memory_kept
from labs_lib.training.progress import Silent

BLOCK_BYTES = 64 * 2**20
glibc_alone = pytest.mark.skipif(kept_memory._glibc() is None, reason="there is no glibc")


# In a process of its own: a long-lived one may allocate from another of glibc's arenas, where a
# block of this size is the system's in any case.
PROGRAM = f"""
import resource, torch
from labs_lib.training.engine.kept_memory import memory_kept

def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros({BLOCK_BYTES} // 4).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with memory_kept() as kept:
    faults_of_a_block()
    print(kept, faults_of_a_block(), end=" ")
faults_of_a_block()
print(faults_of_a_block())
"""


@glibc_alone
def test_a_block_costs_its_page_faults_once_inside_and_each_time_outside() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    kept, inside, outside = done.stdout.split()
    assert kept == "True"
    assert int(inside) < 100
    # Huge pages, where the system gives them, hold 512 pages each.
    assert int(outside) >= BLOCK_BYTES // 2**21


def test_nothing_is_done_where_it_is_not_wanted_or_there_is_no_glibc(monkeypatch) -> None:
    with memory_kept(wanted=False) as kept:
        assert not kept
    monkeypatch.setattr(sys, "platform", "win32")
    with memory_kept() as kept:
        assert not kept


@pytest.mark.parametrize(("method", "wanted"), [("full", True), ("lora", False)])
def test_it_is_kept_while_all_weights_train(
    method: str, wanted: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def remembering(wanted: bool) -> object:
        asked.append(wanted)
        return memory_kept(wanted=False)

    monkeypatch.setattr(trainer, "memory_kept", remembering)
    recipe = tiny_recipe(tiny_model, method=method, steps=1, eval_rows=0, checkpoint_every=0)
    train(recipe, tmp_path / "run", progress=Silent())
    assert asked == [wanted]
