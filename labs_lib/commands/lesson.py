"""`labs lesson`: the student's copies of the lessons: listed, started again, updated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from labs_lib.workbook import Lesson


@click.command("lesson")
@click.argument("lesson", required=False)
@click.option("--again", is_flag=True, help="Start LESSON again; your file is kept, with a date.")
@click.option(
    "--update", is_flag=True, help="Bring the author's new text into LESSON and keep your work."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(lesson: str | None, again: bool, update: bool, as_json: bool) -> None:
    """Lay the lessons that are missing in workbook/, and list them or the one named LESSON."""
    from labs_lib.workbook import bring_in_update, course_folder, find_lesson, start_again

    if again and update:
        raise click.UsageError("--again and --update exclude each other; give one of them")
    if (again or update) and lesson is None:
        option = "--again" if again else "--update"
        raise click.UsageError(f"{option} needs the lesson's number, such as: 02 {option}")
    course = course_folder()
    chosen = None if lesson is None else find_lesson(course, lesson)
    if chosen is None or not (again or update):
        _list(course, chosen, as_json)
        return
    done = (start_again if again else bring_in_update)(chosen)
    if as_json:
        from dataclasses import asdict

        content = {
            "lesson": chosen.number,
            "file": str(chosen.file),
            "kept": None if done.kept is None else str(done.kept),
            "carried": None if done.carried is None else asdict(done.carried),
        }
        click.echo(json.dumps(content, ensure_ascii=False))
        return
    click.echo(done.text)
    if done.kept is not None:
        click.echo("Where it is open in JupyterLab: File > Reload Notebook from Disk.")


def _list(course: Path, chosen: Lesson | None, as_json: bool) -> None:
    """Lay the lessons; print each one's number, file and state, or those of the chosen one."""
    from labs_lib.workbook import lay

    laid = [each for each in lay(course) if chosen in (None, each.lesson)]
    if as_json:
        content = [
            {
                "lesson": each.lesson.number,
                "file": str(each.lesson.file),
                "state": each.state.name.lower(),
                "update": each.update,
            }
            for each in laid
        ]
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for each in laid:
        newer = "; the author has a newer text (--update)" if each.update else ""
        file = each.lesson.file
        click.echo(f"{file.parent.name}/{file.name}: {each.state.value}{newer}")
