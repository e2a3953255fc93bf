"""`labs export`: bring what a run trained, or a lesson to be graded, out of the course."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

KINDS = ("card", "adapter", "merged", "gguf")


class RunByDefault(click.Group):
    """A group whose first word may be a run's folder: `labs export RUN` is `labs export run RUN`.

    A folder that is called like a command is named with its path, `./otter`.
    """

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` first where neither a command nor only the group's own options stand there."""
        own = {name for parameter in self.params for name in parameter.opts}
        own |= set(self.get_help_option_names(ctx))
        first = next((word for word in args if word not in own), None)
        if first is not None and first not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("export", cls=RunByDefault)
def command() -> None:
    """Write what a run trained as others read it, or a lesson as an assignment."""


@command.command("run")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "kind", required=True, metavar="KIND", help=f"One of {', '.join(KINDS)}.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--dtype", metavar="DTYPE", help="Of merged: bf16 (the default), fp16 or fp32.")
@click.option("--type", "stored", metavar="TYPE", help="Of gguf: f16 (the default), f32 or q8_0.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export_run(
    run: Path, kind: str, out: Path, dtype: str | None, stored: str | None, as_json: bool
) -> None:
    """Write what the run in folder RUN trained as others read it."""
    from labs_lib.errors import choice_error

    if kind not in KINDS:
        raise choice_error("--to", kind, KINDS)
    _check_goes_with("--dtype", dtype, kind, "merged")
    _check_goes_with("--type", stored, kind, "gguf")
    said = _export(run, kind, out, dtype or "bf16", stored or "f16")
    if as_json:
        click.echo(json.dumps(said))
        return
    click.echo(f"{kind} in {said['path']} ({said['bytes'] / 2**20:.1f} MiB)")
    if said.get("unwritten"):
        click.echo(f"still to be written by a person: {', '.join(said['unwritten'])}")


def _check_goes_with(option: str, value: str | None, kind: str, its_kind: str) -> None:
    from labs_lib.errors import LabError

    if value is not None and kind != its_kind:
        raise LabError(f"{option}: goes with --to {its_kind}, not with --to {kind}")


def _export(run: Path, kind: str, out: Path, dtype: str, stored: str) -> dict[str, Any]:
    """Return what was written: kind, path, bytes, and a card's unwritten fields."""
    from labs_lib import export
    from labs_lib.training.run import Run

    if kind == "card":
        path = export.write_card(run, out)
        found = {"unwritten": list(export.unwritten(path))}
    elif kind == "adapter":
        path, found = export.export_adapter(run, out), {}
    elif kind == "merged":
        path, found = export.export_merged(run, out, dtype), {}
    else:
        path, found = export.export_gguf(run, out, stored), {}
    if kind in ("merged", "gguf") and (note := export.merge_note(Run.load(run))):
        click.echo(f"Note: {note}", err=True)
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return {"kind": kind, "path": str(path), "bytes": size, **found}


def _assignment(form: str, lesson: str, out: Path, seed: int, as_json: bool) -> None:
    """Write a lesson as an assignment and say what is graded in it."""
    from labs_lib.classroom.assignments import write_assignment
    from labs_lib.workbook import course_folder, find_lesson

    made = write_assignment(find_lesson(course_folder(), lesson), form, out, seed)
    if as_json:
        said = {"form": form, "path": str(made.path), "graded": made.graded,
                "skipped_cells": made.skipped_cells, "left_out": made.left_out}  # fmt: skip
        click.echo(json.dumps(said))
        return
    click.echo(f"{form} in {made.path}: {len(made.graded)} graded cells; its README says how")
    if made.skipped_cells:
        click.echo(
            f"{made.skipped_cells} cells train or need what was trained; a grader skips them"
        )
    if made.left_out:
        click.echo(f"left out, since {form} cannot ask them: {', '.join(made.left_out)}")
    click.echo(
        f"not in {form} as in the course: numbers of a student's own (all get the same ones),"
    )
    click.echo("  confidence, attempts, and feedback to a question; `labs class` keeps these")


def _assignment_command(form: str, program: str) -> None:
    @command.command(form, short_help=f"Write a lesson as an assignment of {program}.")
    @click.argument("lesson")
    @click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
    @click.option("--seed", default=0, show_default=True, help="Numbers of drawn questions.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    def export_lesson(lesson: str, out: Path, seed: int, as_json: bool) -> None:
        _assignment(form, lesson, out, seed, as_json)

    export_lesson.help = f"Write LESSON (02) as an assignment that {program} hands out and grades."


_assignment_command("nbgrader", "nbgrader")
_assignment_command("otter", "otter-grader")
