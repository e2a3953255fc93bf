"""`labs sweep`: train one recipe at many points and seeds, or show a sweep that is recorded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs_lib.commands import course_file
from labs_lib.commands.crews import with_crew
from labs_lib.commands.numbers import read_seeds
from labs_lib.errors import LabError
from labs_lib.files import to_json

if TYPE_CHECKING:
    from labs_lib.training.sweep import Sweep
    from labs_lib.training.workers.work import Crew


@click.command(
    "sweep",
    help="Train the points of SWEEP: a YAML file such as recipes/sweeps/dropout.yaml, or the name "
    "of a sweep whose results come with the course.",
)
@click.argument("name_or_file", metavar="SWEEP")
@click.option("--recorded", "show_recorded", is_flag=True, help="Show the course's results.")
@click.option(
    "--only", multiple=True, metavar="KEY=VALUE,…", help="Some points, as rank=8,alpha=16."
)
@click.option("--seeds", metavar="0,1,…", help="In place of the sweep's own seeds.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@with_crew
def command(
    name_or_file: str,
    show_recorded: bool,
    only: tuple[str, ...],
    seeds: str | None,
    out: Path | None,
    as_json: bool,
    crew: Crew | None,
) -> None:
    """Find the sweep, train what is missing (or read what is recorded), print the table."""
    from labs_lib import paths
    from labs_lib.training.sweep import Sweep, recorded
    from labs_lib.training.sweeping import run_sweep

    if show_recorded and crew is not None:
        raise LabError("--workers: nothing is trained with --recorded; give one of the two")
    if show_recorded and out is not None:
        raise LabError("--out: nothing is written with --recorded; give one of the two")
    is_file = name_or_file.endswith((".yaml", ".yml"))
    name = Path(name_or_file).stem if is_file else name_or_file
    known = recorded(name) if show_recorded or not is_file else None
    sweep = known.sweep if known else Sweep.from_yaml(course_file(paths.sweep_file, name_or_file))
    picked = _pick(sweep, only)
    chosen = read_seeds(seeds) if seeds is not None else sweep.seeds
    if known and show_recorded:
        result = known
    else:
        out = out or paths.data_dir() / "sweeps" / f"{sweep.name}.json"
        result = run_sweep(sweep.model_copy(update={"seeds": chosen}), out, picked, crew=crew)
    result = result.only(picked, chosen)
    if not result.points:
        raise LabError(f"--seeds: {seeds} is in none of the results; recorded: {sweep.seeds}")
    if as_json:
        click.echo(to_json(result.as_dict()))
        return
    click.echo(f"{result.table()}\n\nmean (lowest–highest over the seeds)")
    before = [f"{key.replace('_', ' ')} {v:.0%}" for key, v in result.rates_before.items()]
    if result.loss_before is not None:
        before.insert(0, f"held-out loss {result.loss_before:.3f}")
    click.echo(f"before training: {', '.join(before) or 'not scored: no test rows'}")
    click.echo(result.provenance())
    if out is not None:
        click.echo(f"saved in {out}")


def _pick(sweep: Sweep, only: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the points that any of the `--only` means; all of them without one."""
    wanted = [sweep.matching(**_assignments(text)) for text in only]
    return [
        each for each in sweep.combinations() if not only or any(each in found for found in wanted)
    ]


def _assignments(text: str) -> dict[str, Any]:
    """Read "rank=8,alpha=16"; a comma within brackets belongs to its value."""
    from labs_lib.training.recipe import parse_assignment

    return dict(parse_assignment(part, "--only") for part in re.split(r",(?![^\[]*\])", text))
