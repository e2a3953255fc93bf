"""`torchrun -m labs_lib.train RECIPE`: `labs train` in several processes, on one machine or more.

By itself, `python -m labs_lib.train RECIPE` is one process and does what `labs train` does; with
`--processes N` it starts N of them on this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labs_lib import paths
from labs_lib.cli import with_debug
from labs_lib.commands import course_file
from labs_lib.commands.train import say_run
from labs_lib.endings import one_line_errors
from labs_lib.errors import LabError

PROGRAM = "labs_lib.train"


@click.command(
    "train", help="Fine-tune a model by RECIPE, as `labs train` does, in several processes."
)
@click.argument("recipe_file", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--sharding", default="ddp", help="ddp: each process has the model; fsdp2: a part.")
@click.option("--offload", is_flag=True, help="Keep fsdp2's parts in the computer's memory.")
@click.option("--processes", type=int, default=0, help="Start so many on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def command(
    recipe_file: Path,
    assignments: tuple[str, ...],
    out: Path | None,
    resume: bool,
    sharding: str,
    offload: bool,
    processes: int,
    as_json: bool,
) -> None:
    """Read the recipe, train together with the other processes, and print the run once."""
    from labs_lib.training.processes.endings import ended_together
    from labs_lib.training.processes.launching import launch, without_count
    from labs_lib.training.processes.ranks import check_choice, connected, processes_told
    from labs_lib.training.recipe import Recipe, parse_assignment

    told = processes_told()
    if processes and told:
        raise LabError(f"--processes: torchrun has started {told}; leave the option out")
    check_choice(sharding, offload, told or processes)
    overrides = dict(parse_assignment(text) for text in assignments)
    recipe = Recipe.from_yaml(course_file(paths.recipe_file, recipe_file), **overrides)
    if processes:
        launch(processes, recipe, ["-m", PROGRAM, *without_count(sys.argv[1:])])
        return
    from labs_lib.training import train

    with ended_together(), connected(sharding, offload) as ranks:
        run = train(recipe, out, resume, ranks=ranks)
        if ranks.first:
            say_run(run, as_json)


def main() -> None:
    """Run the command; whatever goes wrong ends with one line on stderr and a status above 0."""
    with one_line_errors(PROGRAM):
        with_debug(command).main(prog_name=PROGRAM, standalone_mode=False)


if __name__ == "__main__":
    main()
