"""`labs progress`: where a student stands; export, import and reset."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("progress", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show what is done, what is worth another look, and how well you judged yourself."""
    if context.invoked_subcommand is not None:
        return
    from labs_lib.assessment.confidence import confidence_calibration
    from labs_lib.assessment.predictions import calibration_of
    from labs_lib.assessment.progress import progress_file, standing

    now = standing()
    calibration = calibration_of(now.events)
    confidence = confidence_calibration(now.events)
    if as_json:
        content = {
            "file": str(progress_file()),
            "unreadable_lines": now.unreadable,
            "lessons": [
                {
                    "lesson": each.lesson,
                    "title": each.title,
                    "total": each.total,
                    "attempted": each.attempted,
                    "correct": each.correct,
                    "percent": round(each.percent, 1),
                }
                for each in now.lessons
            ],
            "revisit": [item.id for item in now.revisit],
            "to_write": list(now.to_write),
            "calibration": calibration.text,
            "confidence": {
                step.name: {"answered": step.answered, "right": step.right}
                for step in confidence.steps
            },
        }
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for each in now.lessons:
        done = round(20 * each.correct / each.total) if each.total else 0
        bar = "#" * done + "." * (20 - done)
        click.echo(f"{each.lesson} {bar} {each.correct:>3} of {each.total:<3} {each.title}")
    if now.revisit:
        click.echo("Worth another look: " + ", ".join(item.id for item in now.revisit))
    if now.to_write:
        click.echo("Put in order, to be written yet: " + ", ".join(now.to_write))
    click.echo(calibration.text)
    if confidence.text:
        click.echo(confidence.text)
    if now.unreadable:
        click.echo(f"{now.unreadable} unreadable line(s) skipped in {progress_file()}")


@command.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def export(path: Path, as_json: bool) -> None:
    """Copy the progress to the file PATH, to take it to another machine."""
    from labs_lib.assessment.progress import export_progress

    _say(as_json, "exported", export_progress(path), str(path))


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def import_(path: Path, as_json: bool) -> None:
    """Add the events of an exported file PATH that are not here yet."""
    from labs_lib.assessment.progress import import_progress

    _say(as_json, "imported", import_progress(path), str(path))


@command.command("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def reset(yes: bool, as_json: bool) -> None:
    """Begin anew; the old file is kept beside the new one."""
    from labs_lib.assessment.progress import reset_progress

    if not yes:
        click.confirm("Begin anew, with nothing answered?", abort=True)
    kept = reset_progress()
    if as_json:
        click.echo(json.dumps({"kept": str(kept) if kept else None}))
    else:
        click.echo(f"The old progress is kept in {kept}" if kept else "There was nothing to reset.")


def _say(as_json: bool, verb: str, count: int, path: str) -> None:
    if as_json:
        click.echo(json.dumps({verb: count, "file": path}))
    else:
        click.echo(f"{count} events {verb}: {path}")
