"""Runs in each of several processes, as a file asks for them; in the last one, process 2 is killed.

`rank_runs.py PLANS FOLDER`: PLANS is JSON, a list of (name, recipe, sharding, what to do).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from labs_lib.endings import one_line_errors
from labs_lib.training import Recipe, train
from labs_lib.training.processes.endings import ended_together
from labs_lib.training.processes.ranks import connected
from labs_lib.training.processes.trainer import RankTrainer
from labs_lib.training.progress import Silent


def main() -> None:
    """Train what the plans say, one after the other."""
    plans, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    with ended_together(), connected() as ranks:
        for name, fields, sharding, doing in plans:
            own = replace(ranks, sharding=sharding)
            if doing == "dies" and ranks.number == 1:
                _die_in_step(6)
            recipe = Recipe.of(**fields)
            train(recipe, folder / name, doing == "resumes", progress=Silent(), ranks=own)


def _die_in_step(number: int) -> None:
    trainers: Any = RankTrainer
    step = trainers.training_step

    def killed(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        if trainer.state.global_step == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(trainer, *args, **kwargs)

    trainers.training_step = killed


if __name__ == "__main__":
    with one_line_errors("rank_runs"):
        main()
