"""`labs compare`: full fine-tuning, LoRA and QLoRA on the same rows, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs_lib.commands import course_file
from labs_lib.commands.crews import with_crew
from labs_lib.commands.numbers import read_seeds
from labs_lib.files import to_json

if TYPE_CHECKING:
    from labs_lib.training.workers.work import Crew

RECIPE = "recipes/compare.yaml"


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
    reuse: bool,
    as_json: bool,
    crew: Crew | None,
) -> None:
    """Train every arm, print the table, save JSON and plot."""
    from labs_lib import paths
    from labs_lib.errors import LabError, choice_error
    from labs_lib.step.methods import METHODS
    from labs_lib.training.comparing import compare
    from labs_lib.training.comparison import COMPARISON_FILE
    from labs_lib.training.comparison_plot import comparison_figure
    from labs_lib.training.recipe import Recipe, parse_assignment

    chosen = [each.strip() for each in methods.split(",") if each.strip()]
    for each in chosen:
        if each not in METHODS:
            raise choice_error("--methods", each, METHODS)
    numbers = read_seeds(seeds)
    if plot is not None and (plot.suffix != ".png" or not plot.absolute().parent.is_dir()):
        raise LabError(f"--plot: {plot} should be a .png file in a folder that exists")
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
