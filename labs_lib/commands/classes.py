"""`labs class`: release lessons to a class, collect what comes back, and grade it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.group("class")
def command() -> None:
    """Release lessons to a class, collect what comes back, and grade it."""


@command.command("release")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--lessons", required=True, multiple=True, help="Such as 02,05; may be repeated.")
@click.option("--bank", type=click.Path(path_type=Path), help="Private questions, added to these.")
@click.option("--due", default="", help="A day, or a day and a time: 2027-01-31T18:00.")
@click.option("--attempts", default=0, type=click.IntRange(0), help="Answers that count; 0: all.")
@click.option("--feedback", default="now", show_default=True, help="now, after or none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def release(
    folder: Path,
    lessons: tuple[str, ...],
    bank: Path | None,
    due: str,
    attempts: int,
    feedback: str,
    as_json: bool,
) -> None:
    """Write the FOLDER that students are given; what it takes to grade stays on this machine."""
    from labs_lib.classroom.records import FEEDBACKS
    from labs_lib.classroom.releasing import kept_dir, make_release
    from labs_lib.errors import choice_error
    from labs_lib.workbook import course_folder

    legal = next((each for each in FEEDBACKS if each == feedback), None)
    if legal is None:
        raise choice_error("--feedback", feedback, FEEDBACKS)
    named = [part for each in lessons for part in each.replace(",", " ").split()]
    made = make_release(
        folder,
        list(dict.fromkeys(named)),
        course=course_folder(),
        bank=bank,
        due=due,
        attempts=attempts,
        feedback=legal,
    )
    if as_json:
        _print({"release": made.id, "folder": str(folder), "items": len(made.items),
                "kept": str(kept_dir(made.id)), "due": made.due})  # fmt: skip
        return
    private = sum(item.private for item in made.items)
    click.echo(f"{folder}: {len(made.items)} questions and exercises ({private} private)")
    click.echo(f"release {made.id}; what grades it is kept in {kept_dir(made.id)}")


def _print(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))
