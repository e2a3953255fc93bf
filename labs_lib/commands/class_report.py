"""`labs class report`: what a graded class shows, as a page for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report")
@click.argument("graded", type=click.Path(path_type=Path))
@click.option(
    "--out", default="report.html", type=click.Path(path_type=Path), show_default=True,
    help="The page; a .json of the same name is written beside it.",
)  # fmt: skip
@click.option("--no-names", is_flag=True, help="Number the students, in a drawn order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def report(graded: Path, out: Path, no_names: bool, as_json: bool) -> None:
    """Say what the class of GRADED (a folder, or its graded.json) knows, and who needs help."""
    from labs_lib.classroom import read_graded
    from labs_lib.classroom.report import class_report, report_page
    from labs_lib.errors import LabError
    from labs_lib.files import to_json, write_text

    if out.suffix != ".html":
        raise LabError(f"--out: {out} does not end in .html")
    made = class_report(read_graded(graded), names=not no_names)
    content = to_json(made.as_json(), indent=1)
    write_text(out.with_suffix(".json"), content + "\n")
    write_text(out, report_page(made))
    if as_json:
        click.echo(json.dumps(json.loads(content), indent=2, ensure_ascii=False))
        return
    click.echo(f"{out}, {out.with_suffix('.json').name}: {made.overview.handed_in} hand-ins")
    click.echo(f"{len(made.needs)} students need help")
    look = [item.id for item in made.items if item.remarks]
    click.echo(f"{len(look)} items are worth a look{': ' if look else ''}{', '.join(look)}")
