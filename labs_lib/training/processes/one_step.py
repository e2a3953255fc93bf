"""One training step shared by several processes on this machine, to look at: bytes held and sent.

`shared_step(recipe)` starts them; each runs this file as `python -m`, and the first one prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.endings import one_line_errors
from labs_lib.errors import LabError
from labs_lib.training.processes.ranks import SHARDINGS, Ranks, connected, processes_told
from labs_lib.training.recipe import Recipe

NAME = "labs_lib.training.processes.one_step"


@dataclass(frozen=True)
class SharedStep:
    """What each of several processes held and sent in one step, a number for each of them.

    `parameter_bytes` are those between two steps, `sent_bytes` what a ring of the processes has
    each one pass on; `gathered_bytes` of them are parts of parameters, the others gradients.
    `loss` is that of the step's rows, before it.
    """

    sharding: str
    loss: float
    parameter_bytes: tuple[int, ...]
    sent_bytes: tuple[int, ...]
    gathered_bytes: tuple[int, ...]


def shared_step(recipe: Recipe, count: int = 2) -> dict[str, SharedStep]:
    """Return the first step of `recipe`, shared by `count` processes under DDP and under FSDP2.

    They run on this machine and leave nothing behind. Raises `LabError` for rows that they cannot
    share, and with what a process says that ends early.
    """
    Ranks(count=count).share(recipe)
    asked = json.dumps(recipe.but(steps=1, checkpoint_every=0, eval_every=0).model_dump())
    done = subprocess.run(
        [sys.executable, "-m", NAME, str(count), asked], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(done.stderr.strip() or f"the processes ended with {done.returncode}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        sharding: SharedStep(sharding, **{k: _tuple(v) for k, v in values.items()})
        for sharding, values in found.items()
    }


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _step(recipe: Recipe, ranks: Ranks) -> dict[str, Any]:
    """Take the step in this process, and return what all of them report of it."""
    from labs_lib import data, hardware
    from labs_lib.quiet import quiet_libraries
    from labs_lib.training.engine.building import build_trainer
    from labs_lib.training.processes.sharding import held_bytes
    from labs_lib.training.processes.trainer import RankTrainer
    from labs_lib.training.rows import encode_rows

    machine = hardware.detect()
    precision = recipe.precision_on(machine)
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        rows = encode_rows(recipe, data.resolve(recipe.dataset), lambda _text: None)
        model, _, trainer = build_trainer(
            recipe, rows.train, [], machine, precision, Path(folder), rows.encoder, ranks
        )
        assert isinstance(trainer, RankTrainer)
        trainer.train()
        own = {
            "parameter_bytes": held_bytes(model)["parameter_bytes"],
            "sent_bytes": trainer.sent.bytes,
            "gathered_bytes": trainer.sent.by_kind.get("allgather", 0),
        }
        each = ranks.everyone(own)
    loss = next(line["loss"] for line in trainer.state.log_history if "loss" in line)
    return {"loss": loss, **{name: [values[name] for values in each] for name in own}}


def main() -> None:
    """Start the processes; in one of them, take the step under each sharding."""
    from dataclasses import replace

    from labs_lib.training.processes.endings import ended_together
    from labs_lib.training.processes.launching import started

    count, asked = int(sys.argv[1]), sys.argv[2]
    if not processes_told():
        started(count, ["-m", NAME, str(count), asked])
        return
    with ended_together(), connected() as ranks:
        recipe = Recipe.of(**json.loads(asked))
        found = {way: _step(recipe, replace(ranks, sharding=way)) for way in SHARDINGS}
        if ranks.first:
            print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with one_line_errors(NAME):
        main()
