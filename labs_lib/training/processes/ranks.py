"""The processes of a run: which one this is, what they agree on, and what each takes of a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from labs_lib.errors import LabError, choice_error

if TYPE_CHECKING:
    from labs_lib.training.recipe import Recipe

Value = TypeVar("Value")

SHARDINGS = ("ddp", "fsdp2")
MOST_SILENT = timedelta(hours=1)
"""How long one process may keep the others waiting, while it writes a large model, say."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together; `number` is this one's, from 0.

    Under `ddp` each has the complete model, under `fsdp2` a part of every parameter, gradient and
    optimizer state; with `offload` that part lies in the computer's memory. `grouped` says whether
    the processes are connected: one that was started by itself is not.
    """

    number: int = 0
    count: int = 1
    sharding: str = "ddp"
    offload: bool = False
    grouped: bool = False

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes the run's files."""
        return self.number == 0

    @property
    def cuts(self) -> bool:
        """Return whether each process holds a part of the weights only."""
        return self.sharding == "fsdp2"

    def share(self, recipe: Recipe) -> tuple[int, int]:
        """Return (rows at once, micro-batches) of one process in one step of `recipe`.

        All processes together see the step's rows, as one process does. At once a process takes
        the recipe's `batch_size`, or the largest smaller number that divides its rows. Raises
        `LabError` where the rows cannot be dealt out evenly.
        """
        if recipe.rows_per_step % self.count:
            legal = [n for n in range(1, recipe.rows_per_step + 1) if recipe.rows_per_step % n == 0]
            raise LabError(
                f"processes: {self.count} cannot share the {recipe.rows_per_step} rows of a step "
                f"evenly (batch_size {recipe.batch_size} × accumulation {recipe.accumulation}); "
                f"give one of {', '.join(map(str, legal))} processes, or another batch_size"
            )
        own = recipe.rows_per_step // self.count
        at_once = next(n for n in range(min(recipe.batch_size, own), 0, -1) if own % n == 0)
        return at_once, own // at_once

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return what `make()` gives the first process; its `LabError` is raised in all of them."""
        if self.count == 1:
            return make()
        import torch.distributed as dist

        answer: list[Any] = [None, None]
        if self.first:
            try:
                answer[0] = make()
            except LabError as error:
                dist.broadcast_object_list([None, str(error)], src=0)
                raise
        dist.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise LabError(answer[1])
        return answer[0]

    def everyone(self, value: Value) -> list[Value]:
        """Return every process's value, in the order of their numbers."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until every process has come this far."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()


ONE = Ranks()
"""A run in one process, as `labs train` has it."""


def check_choice(sharding: str, offload: bool, count: int) -> None:
    """Raise `LabError` for a way to share the work that does not exist."""
    if sharding not in SHARDINGS:
        raise choice_error("--sharding", sharding, SHARDINGS)
    if offload and sharding == "ddp":
        raise LabError("--offload: under ddp each process has all of the model; give fsdp2 for it")
    if sharding != "ddp" and not count:
        raise LabError(
            "--sharding: fsdp2 divides a model among processes, and this is one by itself; give "
            "--processes 2, or start it by torchrun"
        )


def processes_told() -> int:
    """Return how many processes torchrun or a batch system started; 0 for one by itself."""
    return int(os.environ.get("WORLD_SIZE", "0")) if "RANK" in os.environ else 0


@contextmanager
def connected(sharding: str = "ddp", offload: bool = False) -> Iterator[Ranks]:
    """Connect the processes that torchrun started, by NCCL on GPUs and by gloo on CPUs.

    Yields `ONE` in a process that was started by itself. Raises `LabError` as `check_choice` does.
    """
    count = processes_told()
    check_choice(sharding, offload, count)
    if not count:
        yield ONE
        return
    import torch
    import torch.distributed as dist

    from labs_lib.hardware import detect

    on_gpus = detect().device == "cuda"
    if on_gpus:
        _take_gpu(torch.cuda.device_count())
    backend = "cuda:nccl,cpu:gloo" if on_gpus else "gloo"
    dist.init_process_group(backend, timeout=MOST_SILENT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), sharding, offload, grouped=True)
    finally:
        dist.destroy_process_group()


def _take_gpu(gpus: int) -> None:
    import torch

    number = int(os.environ.get("LOCAL_RANK", "0"))
    if number >= gpus:
        raise LabError(
            f"processes: this is number {number + 1} on a machine with {gpus} "
            f"{'GPU' if gpus == 1 else 'GPUs'}; each process takes one of its own"
        )
    torch.cuda.set_device(number)
