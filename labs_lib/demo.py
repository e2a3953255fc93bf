"""The whole course in one command: a base model, a fine-tuning, and what changed."""

from __future__ import annotations

import sys

import click

from labs_lib.endings import one_line_errors
from labs_lib.paths import recipes_dir

RECIPE = "sea-captain.yaml"
SHOWN = 6


def main() -> None:
    """Fine-tune the bundled model and print answers before and after, with the costs."""
    print("Fine-tuning a 135M-parameter chat model to speak like a sea captain.", file=sys.stderr)
    from labs_lib.training import Recipe, train

    # A folder of its own: lesson 00 is to train before the student's eyes.
    run = train(Recipe.from_yaml(recipes_dir() / RECIPE, name="demo"))
    click.echo("\nPrompts that training never saw:")
    examples = zip(run.before.prompts, run.before.answers, run.after.answers, strict=True)
    for prompt, before, after in list(examples)[:SHOWN]:
        click.echo(f"\n  {prompt}\n    base:       {before}\n    fine-tuned: {after}")
    click.echo()
    for name, value in run.table():
        click.echo(f"{name:<22}{value}")


if __name__ == "__main__":
    with one_line_errors("demo"):
        main()
