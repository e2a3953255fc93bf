"""What the course's recipes give: seconds, memory, and their held-out answers before and after.

    python benchmarks/recipes.py [--recipes sea-captain,structured-output] [--json results.json]

Each recipe is trained as `labs train` trains it, in a process of its own, whose most resident
memory is recorded beside the peak of live tensors: libraries, both evaluations and all.
Takes about 3 minutes.
The exit status is 0 whatever the figures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

from record import write_record

RECIPES = ("sea-captain", "structured-output")


def trained(name: str) -> dict[str, Any]:
    """Train a recipe in a new folder; return what it took and what it changed."""
    from labs_lib.training import Recipe, train

    with tempfile.TemporaryDirectory() as folder:
        run = train(Recipe.from_yaml(f"recipes/{name}.yaml"), Path(folder) / "run")
    return {
        "recipe": name,
        "steps": run.recipe.steps,
        "batch_size": run.recipe.batch_size,
        "train_seconds": run.cost.train_seconds,
        "tokens_per_second": run.cost.tokens_per_second,
        "peak_bytes": run.cost.peak_bytes,
        "process_peak_bytes": run.cost.process_peak_bytes,
        "held_out_rows": len(run.after.prompts),
        "scores": run.scores(),
    }


def main() -> None:
    """Train every recipe, print a line each, write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", default=",".join(RECIPES), help="which to train")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    names = arguments.recipes.split(",")
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"--recipes: {unknown[0]!r} is none of {', '.join(RECIPES)}")
    rows = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for row in pool.imap(trained, names):
            rows.append(row)
            print(row, flush=True)
    if arguments.json:
        write_record(arguments.json, recipes=rows)


if __name__ == "__main__":
    main()
