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
# glibc caches up to seven of the small remainders that aligned blocks leave; until it has them, a
# remainder may lie between two freed blocks, which then are too small for the next one.
ROUNDS = 20
glibc_alone = pytest.mark.skipif(kept_memory._glibc() is None, reason="there is no glibc")


# In a process of its own: a long-lived one may allocate from another of glibc's arenas, where a
# block of this size is the system's in any case.
PROGRAM = f"""
import psutil, resource, torch
from labs_lib.training.engine.kept_memory import memory_kept

def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # A megabyte more than is asked for: pages of something else may go meanwhile.
    torch.zeros(({BLOCK_BYTES} + 2**20) // 4).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_bytes():
    return psutil.Process().memory_info().rss

outside = faults_of_a_block()
before = resident_bytes()
with memory_kept() as kept:
    for _ in range({ROUNDS}):
        inside = faults_of_a_block()
    held = resident_bytes() - before
print(kept, outside, inside, held, resident_bytes() - before)
"""


@glibc_alone
def test_a_freed_block_is_kept_inside_and_handed_back_at_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    kept, *figures = done.stdout.split()
    outside, inside, held, left = map(int, figures)
    assert kept == "True"
    # Huge pages, where the system gives them, hold 512 pages each.
    assert outside >= BLOCK_BYTES // 2**21
    assert inside < min(100, outside / 2)
    assert held >= BLOCK_BYTES
    assert left < BLOCK_BYTES / 4


def test_nothing_is_done_where_it_is_not_wanted_or_there_is_no_glibc(monkeypatch) -> None:
    with memory_kept(wanted=False) as kept:
        assert not kept
    monkeypatch.setattr(sys, "platform", "win32")
    with memory_kept() as kept:
        assert not kept


@pytest.mark.seconds
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
