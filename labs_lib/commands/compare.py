"""`labs compare`: methods on the same rows, side by side; with `--peft` at their best rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from labs_lib.commands import course_file
from labs_lib.commands.crews import with_crew
from labs_lib.commands.numbers import read_seeds
from labs_lib.errors import LabError
from labs_lib.files import to_json

if TYPE_CHECKING:
    from labs_lib.training.bench.results import BenchResult
    from labs_lib.training.workers.work import Crew

RECIPE = "recipes/compare.yaml"
BENCH = "recipes/bench/methods.yaml"

# With --peft the bench's file says these.
_OF_ARMS = ("methods", "seeds", "assignments", "probe_rows", "reuse")


@click.command(
    "compare", help="Train RECIPE (default recipes/compare.yaml) by each method and compare."
)
@click.argument("recipe_file", metavar="[RECIPE]", required=False, type=click.Path(path_type=Path))
@click.option("--methods", default="full,lora,qlora", show_default=True, help="Which to train.")
@click.option("--seeds", default="0", show_default=True, help="Seeds, such as 0,1,2.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--probe-rows", type=click.IntRange(1), help="General-knowledge questions to ask.")
@click.option("--plot", type=click.Path(path_type=Path), help="Save the plot as a PNG file.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the runs.")
@click.option(
    "--peft",
    metavar="lora,dora,…",
    help=f"PEFT's methods (or all), each at its own best rate: RECIPE is then a bench (default "
    f"{BENCH}), --out a JSON file, and the same command goes on where it stopped.",
)
@click.option("--recorded", is_flag=True, help="With --peft: show the course's results.")
@click.option("--reuse", is_flag=True, help="Read finished runs of the same recipe back.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@with_crew
def command(
    recipe_file: Path | None,
    methods: str,
    seeds: str,
    assignments: tuple[str, ...],
    probe_rows: int | None,
    plot: Path | None,
    out: Path | None,
    peft: str | None,
    recorded: bool,
    reuse: bool,
    as_json: bool,
    crew: Crew | None,
) -> None:
    """Train every arm, print the table, save JSON and plot."""
    from labs_lib import paths
    from labs_lib.errors import choice_error
    from labs_lib.step.methods import METHODS
    from labs_lib.training.comparing import compare
    from labs_lib.training.comparison import COMPARISON_FILE
    from labs_lib.training.comparison_plot import comparison_figure
    from labs_lib.training.recipe import Recipe, parse_assignment

    if recorded and peft is None:
        raise LabError("--recorded: give --peft too, such as --peft all")
    if peft is not None:
        if crew is not None:
            raise LabError("--workers: with --peft the bench takes one process; leave it out")
        _compare_peft(recipe_file, _names(peft), plot, out, recorded, as_json)
        return
    chosen = _names(methods)
    for each in chosen:
        if each not in METHODS:
            raise choice_error("--methods", each, METHODS)
    numbers = read_seeds(seeds)
    _check_plot(plot)
    overrides: dict[str, Any] = dict(parse_assignment(text) for text in assignments)
    file = course_file(paths.recipe_file, recipe_file) if recipe_file else RECIPE
    recipe = Recipe.from_yaml(file, **overrides)
    folder = out or paths.runs_dir() / f"compare-{recipe.name}"
    found = compare(recipe, folder, chosen, numbers, probe_rows, reuse, crew=crew)
    if plot is not None:
        from labs_lib import figures

        figures.save(comparison_figure(found)[0], plot)
    if as_json:
        click.echo(to_json(found.as_dict()))
        return
    click.echo(str(found.table()))
    click.echo(f"saved in {folder / COMPARISON_FILE}")


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _check_plot(plot: Path | None) -> None:
    if plot is not None and (plot.suffix != ".png" or not plot.absolute().parent.is_dir()):
        raise LabError(f"--plot: {plot} should be a .png file in a folder that exists")


def _compare_peft(
    file: Path | None,
    names: list[str],
    plot: Path | None,
    out: Path | None,
    recorded: bool,
    as_json: bool,
) -> None:
    """Run a bench or read the recorded one; print a table of each task and of each search."""
    from labs_lib import paths
    from labs_lib.training.bench.results import recorded_bench
    from labs_lib.training.bench.running import run_bench
    from labs_lib.training.bench.settings import Bench

    context = click.get_current_context()
    for name in _OF_ARMS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--set" if name == "assignments" else f"--{name.replace('_', '-')}"
            raise LabError(f"{option}: with --peft the bench's file says this; leave it out")
    if recorded and out is not None:
        raise LabError("--out: nothing is written with --recorded; give one of the two")
    _check_plot(plot)
    bench = Bench.from_yaml(course_file(paths.bench_file, file) if file else BENCH)
    picked = bench.picked(names)
    if recorded:
        result = recorded_bench(bench.name)
    else:
        out = out or paths.data_dir() / "bench" / f"{bench.name}.json"
        result = run_bench(bench, out, picked)
    result = result.only(picked)
    if plot is not None:
        from labs_lib.files import written_aside
        from labs_lib.training.bench.drawing import draw_pareto

        with written_aside(plot) as aside:
            aside.write_bytes(draw_pareto(result, result.tasks()[0]).png)
    if as_json:
        click.echo(to_json(result.as_dict()))
        return
    _show(result)
    if out is not None:
        click.echo(f"saved in {out}")


def _show(result: BenchResult) -> None:
    for task in result.tasks():
        click.echo(f"{result.table(task)}\n")
        click.echo(f"held-out loss by rate, seed {result.bench.rate_seed}; the best in stars")
        click.echo(f"{result.rates(task)}\n")
    click.echo(result.provenance())
