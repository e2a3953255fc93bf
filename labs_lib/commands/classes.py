"""`labs class`: release lessons to a class, collect what comes back, and grade it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from labs_lib.commands.class_report import report

if TYPE_CHECKING:
    from labs_lib.classroom.records import Feedback


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

    if feedback not in FEEDBACKS:
        raise choice_error("--feedback", feedback, FEEDBACKS)
    named = [part for each in lessons for part in each.replace(",", " ").split()]
    made = make_release(
        folder,
        list(dict.fromkeys(named)),
        course=course_folder(),
        bank=bank,
        due=due,
        attempts=attempts,
        feedback=cast("Feedback", feedback),
    )
    if as_json:
        _print({"release": made.id, "folder": str(folder), "items": len(made.items),
                "kept": str(kept_dir(made.id)), "due": made.due})  # fmt: skip
        return
    private = sum(item.private for item in made.items)
    click.echo(f"{folder}: {len(made.items)} questions and exercises ({private} private)")
    click.echo(f"release {made.id}; what grades it is kept in {kept_dir(made.id)}")


@command.command("collect")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--release", "named", help="Its id or folder; not needed where there is but one.")
@click.option("--class", "roster", type=click.Path(path_type=Path), help="CSV: student, name, …")
@click.option("--homes", is_flag=True, help="SOURCES hold a folder a student, as a hub's homes do.")
@click.option("--out", default="collected", type=click.Path(path_type=Path), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def collect(
    sources: tuple[Path, ...],
    named: str | None,
    roster: Path | None,
    homes: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Bring hand-ins together from SOURCES: folders, a learning platform's zip, a hub's homes."""
    from labs_lib.classroom.collecting import collect as collected
    from labs_lib.classroom.releasing import find_release
    from labs_lib.classroom.senders import read_roster

    release, _ = find_release(named)
    members = read_roster(roster) if roster is not None else ()
    found = collected(sources, release, out, members, homes=homes)
    if as_json:
        _print(found.model_dump(mode="json"))
        return
    handed = [each for each in found.students if each.file]
    click.echo(f"{out}: {len(handed)} hand-ins of {release.id} from {found.files} files")
    for kind in ("missing", "late", "twice"):
        if students := found.of(kind):
            click.echo(f"{kind}: {', '.join(students)}")
    for student in found.students:
        for remark in student.remarks:
            click.echo(f"{student.student}: {remark}")
    for stray in found.strays:
        click.echo(f"left out: {stray}", err=True)


@command.command("grade")
@click.argument("collected", type=click.Path(path_type=Path))
@click.option("--release", "named", help="Its id or folder; not needed where there is but one.")
@click.option("--out", default="graded", type=click.Path(path_type=Path), show_default=True)
@click.option("--walls", help="bubblewrap, docker or podman; the first that is here.")
@click.option("--unsafe", is_flag=True, help="Run students' code as your own user, without walls.")
@click.option("--processes", type=click.IntRange(1), help="Benches; as many as processors.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def grade(
    collected: Path,
    named: str | None,
    out: Path,
    walls: str | None,
    unsafe: bool,
    processes: int | None,
    as_json: bool,
) -> None:
    """Judge all that was COLLECTED anew and write gradebook.csv; go on where it was interrupted."""
    from tqdm import tqdm

    from labs_lib.classroom.grading import grade_class
    from labs_lib.classroom.records import GRADEBOOK_FILE
    from labs_lib.classroom.releasing import find_release
    from labs_lib.classroom.walls.ways import find_way

    release, kept = find_release(named)
    way = None if unsafe else find_way(walls)
    with tqdm(desc="code", unit="cell", disable=as_json or None) as bar:
        graded = grade_class(
            collected, release, kept, out, way, side_by_side=processes, start=bar.reset,
            done=bar.update,
        )  # fmt: skip
    if as_json:
        _print([each.model_dump(mode="json") for each in graded.students])
        return
    for each in graded.students:
        remarks = f" ({'; '.join(each.remarks)})" if each.remarks else ""
        click.echo(f"{each.student}: {each.points:g} of {each.possible:g}{remarks}")
    click.echo(f"{out / GRADEBOOK_FILE}; walls: {graded.walls}")


def _print(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


command.add_command(report)
