"""`labs train`: fine-tune by a recipe and print what came out and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from labs_lib import paths
from labs_lib.commands import course_file
from labs_lib.files import to_json


@click.command(
    "train",
    help="Fine-tune a model by RECIPE: a YAML file, or one of the course's, such as "
    "recipes/sea-captain.yaml, from any folder.",
)
@click.argument("recipe_file", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def command(
    recipe_file: Path, assignments: tuple[str, ...], out: Path | None, resume: bool, as_json: bool
) -> None:
    """Read the recipe, train, print the run."""
    from labs_lib.training.recipe import Recipe, parse_assignment

    overrides: dict[str, Any] = dict(parse_assignment(text) for text in assignments)
    recipe = Recipe.from_yaml(course_file(paths.recipe_file, recipe_file), **overrides)
    from labs_lib.training import train

    run = train(recipe, out, resume)
    if as_json:
        click.echo(to_json(run.as_dict() | {"folder": str(run.folder)}))
        return
    for name, value in run.table():
        click.echo(f"{name:<22}{value}")
    click.echo(f"{'saved in':<22}{run.output}")
