"""Several processes started on this machine, by torch's own launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence

from labs_lib.allotment import THREADS, threads
from labs_lib.errors import LabError
from labs_lib.training.processes.endings import GO_ON, LAUNCHED, LOST_ANOTHER
from labs_lib.training.processes.ranks import Ranks
from labs_lib.training.recipe import Recipe

OPTION = "--processes"


def launch(count: int, recipe: Recipe, program: Sequence[str]) -> None:
    """Run Python with the arguments `program`, which trains by `recipe`, in `count` processes.

    Raises `LabError` for a number that cannot share the recipe's rows, and as `started` does.
    """
    if count < 1:
        raise LabError(f"{OPTION}: {count}: give a whole number from 1")
    Ranks(count=count).share(recipe)
    started(count, program)


def started(count: int, program: Sequence[str]) -> None:
    """Run Python with the arguments `program` in `count` processes that share this one's cores.

    Raises `LabError` where one of them was ended from outside; where one ended by itself it has
    said why, and this process ends with status 2.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    own = max(1, int(threads().amount) // count)
    os.environ[THREADS] = str(min(own, int(os.environ.get(THREADS, own))))
    os.environ[LAUNCHED] = "1"
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="labs",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)(*program)
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        ended = {number: failure.exitcode for number, failure in error.failures.items()}
        if any(status > 0 and status != LOST_ANOTHER for status in ended.values()):
            sys.exit(2)
        # The launcher ends the others by SIGTERM.
        number = min(ended, key=lambda each: (ended[each] in (-signal.SIGTERM, LOST_ANOTHER), each))
        how = signal.Signals(-ended[number]).name if ended[number] < 0 else "a lost connection"
        raise LabError(f"process {number + 1} of {count} was ended by {how}; {GO_ON}") from None


def without_count(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of one process: all but how many there are to be."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and argument.partition("=")[0] != OPTION:
            kept.append(argument)
        skip = argument == OPTION
    return kept
