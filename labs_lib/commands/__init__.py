"""One file a verb of `labs`; each defines `command`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from labs_lib import paths


def course_file(find: Callable[[str | Path], Path], name: str | Path) -> Path:
    """Return what `find` finds; where a path leads to no file here but to the course's, say so."""
    found = find(name)
    if (
        len(Path(name).parts) > 1
        and not Path(name).exists()
        and found.is_relative_to(paths.recipes_dir())
    ):
        click.echo(f"no file {name} here: taking the one that comes with the course", err=True)
    return found
