"""`labs train`: fine-tune by a recipe and print what came out and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs_lib import paths
from labs_lib.commands import course_file
from labs_lib.files import to_json

if TYPE_CHECKING:
    from labs_lib.training import Run
    from labs_lib.training.recipe import Recipe


@click.command(
    "train",
    help="Fine-tune a model by RECIPE: a YAML file, or one of the course's, such as "
    "recipes/sea-captain.yaml, from any folder.",
)
@click.argument("recipe_file", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option(
    "--plan",
    "plan_only",
    is_flag=True,
    help="Say what it will take and what to change; no training.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def command(
    recipe_file: Path,
    assignments: tuple[str, ...],
    out: Path | None,
    resume: bool,
    plan_only: bool,
    as_json: bool,
) -> None:
    """Read the recipe, train, print the run; or print what it will take."""
    from labs_lib.training.recipe import Recipe, parse_assignment

    overrides: dict[str, Any] = dict(parse_assignment(text) for text in assignments)
    recipe = Recipe.from_yaml(course_file(paths.recipe_file, recipe_file), **overrides)
    if plan_only:
        _say_plan(recipe, as_json)
        return
    from labs_lib.training import train

    say_run(train(recipe, out, resume), as_json)


def say_run(run: Run, as_json: bool) -> None:
    """Print a finished run, as JSON or for a person."""
    if as_json:
        click.echo(to_json(run.as_dict() | {"folder": str(run.folder)}))
        return
    for name, value in run.table():
        click.echo(f"{name:<22}{value}")
    click.echo(f"{'saved in':<22}{run.output}")


def _say_plan(recipe: Recipe, as_json: bool) -> None:
    """Print what the run will take, and what to change if it is too much."""
    from dataclasses import asdict

    from labs_lib.training import plan

    planned = plan(recipe)
    if as_json:
        values = asdict(planned) | {"recipe": recipe.model_dump()}
        click.echo(to_json(values | {"seconds": planned.seconds, "fits": planned.fits}))
        return
    click.echo(repr(planned))
