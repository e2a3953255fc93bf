"""`labs hand-in`: a student's work on a release, in one file."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("hand-in")
@click.option("--student", required=True, help="The number or name that your class knows you by.")
@click.option("--name", default="", help="Your name, for a person who reads.")
@click.option("--out", type=click.Path(path_type=Path), help="File; hand-in-STUDENT.zip here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(student: str, name: str, out: Path | None, as_json: bool) -> None:
    """Put your work on the release in the current folder into one file, to be handed in."""
    from labs_lib.assessment.cells import exercise_of
    from labs_lib.classroom.handing_in import hand_in, released_here, write_hand_in
    from labs_lib.classroom.items import EXERCISE

    release, folder = released_here()
    handed = hand_in(release, folder, student, name)
    path = out or folder / f"hand-in-{student}.zip"
    write_hand_in(handed, path)
    questions = {item.id for item in release.items if item.kind != EXERCISE}
    exercises = {item.id for item in release.items if item.kind == EXERCISE}
    answered = {given.item for given in handed.responses} & questions
    found = {exercise_of(cell.source) for cell in handed.cells} & exercises
    if as_json:
        said = {"file": str(path), "release": release.id, "student": student,
                "answered": len(answered), "questions": len(questions),
                "exercises": len(found)}  # fmt: skip
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(f"{path}: {len(answered)} of {len(questions)} questions answered")
    click.echo(f"{len(found)} of {len(exercises)} exercise cells found; {len(handed.runs)} runs")
    for missing in sorted(exercises - found):
        click.echo(f"no cell for {missing}: its first line is `# exercise: {missing}`", err=True)
    if release.due:
        click.echo(f"to be handed in by {release.due}")
