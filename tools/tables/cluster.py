"""What the recipes for a cluster take of each GPU, by `labs memory` itself."""

from __future__ import annotations

import functools
import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from labs_lib.errors import LabError
from tools.tables.markdown import table

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "cluster"
CARDS = {"lora-8b": "RTX 4090", "qlora-70b": "RTX 4090", "full-8b": "A100 80GB"}
"""Recipe → the card that it is meant for."""


class Job(NamedTuple):
    """What a SLURM script of the folder asks for."""

    recipe: str
    gpus: int
    sharding: str
    offload: bool


def jobs(folder: Path = FOLDER) -> list[Job]:
    """Return the jobs in the order of `CARDS`, each as its script describes it."""
    found = []
    for name in CARDS:
        script = (folder / f"{name}.sh").read_text(encoding="utf-8")
        gpus = re.search(r"^#SBATCH --gpus-per-node=(\d+)$", script, re.MULTILINE)
        sharding = re.search(r"--sharding (\w+)", script)
        if gpus is None:
            raise LabError(f"{name}.sh: should ask for GPUs: '#SBATCH --gpus-per-node=N'")
        how = sharding[1] if sharding else ""
        found.append(Job(name, int(gpus[1]), how, "--offload" in script))
    return found


def commands(job: Job) -> list[str]:
    """Return the forecasts of a job as they are asked for; of one with offload, also without it."""
    from labs_lib.training.recipe import Recipe

    line = f"labs memory recipes/cluster/{job.recipe}.yaml"
    card = f'--card "{CARDS[job.recipe]}"'
    if job.gpus == 1:
        return [f"{line} {card}"]
    recipe = Recipe.from_yaml(FOLDER / f"{job.recipe}.yaml")
    # The recipe's own number of passes is one process's; several share them.
    passes = max(1, recipe.rows_per_step // (recipe.batch_size * job.gpus))
    sharding = job.sharding.removesuffix("2")
    line += f" --gpus {job.gpus} --accumulation {passes} --sharding {sharding}"
    return [f"{line}{' --offload' * offload} {card}" for offload in {job.offload: 0, False: 0}]


@functools.cache
def answer(command: str) -> dict[str, Any]:
    """Return what a `labs memory` command says, as it says it to programs."""
    from click.testing import CliRunner

    from labs_lib.commands.memory import command as memory

    result = CliRunner().invoke(memory, [*shlex.split(command)[2:], "--json"])
    if not result.stdout:  # the exit status tells the verdict, not whether there is an answer
        raise LabError(f"{command}: {result.exception}")
    return json.loads(result.stdout)


def cluster() -> str:
    """Return the commands and the table of what they say."""
    asked = [command for job in jobs() for command in commands(job)]
    rows = [_row(command, answer(command)) for command in asked]
    header = (
        "recipe, cards",
        "tensors at the peak, GiB",
        "with what torch reserves, GiB",
        "verdict",
        "in the computer's memory, GiB",
        "sent in a step, GiB",
    )
    return "\n\n".join(["\n".join(["```", *asked, "```"]), table(header, rows)])


def _row(command: str, said: dict[str, Any]) -> tuple[str, ...]:
    each, fit = said.get("on_each_gpu"), said["fit"]
    gpus = each["gpus"] if each else 1
    name = Path(shlex.split(command)[2]).stem
    offload = " with offload" if each and each["offload"] else ""
    reserved = fit["reserved"]
    return (
        f"`{name}`, {gpus} × {fit['card']}{offload}",
        _gib((each or said)["peak_bytes"]),
        f"{_gib(reserved['least_bytes'])} to {_gib(reserved['most_bytes'])}",
        fit["verdict"],
        _gib(each["host_bytes"]) if each and each["offload"] else "–",
        _gib(each["sent_bytes"]) if each else "–",
    )


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.1f}"
