"""`labs quiz`: check the question banks, or export them to other systems."""

from __future__ import annotations

import json
from pathlib import Path

import click

from labs_lib.errors import LabError, choice_error

SUFFIXES = {"csv": ".csv", "qti": ".zip", "moodle": ".xml", "anki": ".apkg"}


@click.group("quiz")
def command() -> None:
    """Check the question banks, or export them."""


@command.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def check(paths: tuple[Path, ...], as_json: bool) -> int:
    """Check banks (all of the course's, or the files PATHS) and name every problem's line."""
    from labs_lib.assessment.lint import check_banks

    banks, problems = check_banks(paths or None)
    if not banks and not problems:
        raise LabError("quiz: no bank found (*.yaml)")
    if as_json:
        content = {
            "banks": [
                {
                    "file": bank.path.name,
                    "lesson": bank.lesson,
                    "questions": len(bank.questions),
                    "objectives": len(bank.objectives),
                }
                for bank in banks
            ],
            "problems": [
                {"file": str(each.path), "line": each.line, "message": each.message}
                for each in problems
            ],
        }
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for bank in banks:
            click.echo(f"{bank.path.name}: {len(bank.questions)} questions")
        for each in problems:
            click.echo(f"{each.path}:{each.line}: {each.message}", err=True)
        click.echo(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return 2 if problems else 0


@command.command("export")
@click.option("--format", "form", required=True, help="csv, qti, moodle or anki")
@click.option("--lesson", "lessons", multiple=True, help="Only this lesson (may be repeated).")
@click.option("--output", type=click.Path(path_type=Path), help="File to write.")
@click.option("--seed", default=0, show_default=True, help="Numbers of parameterised questions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def export(
    form: str, lessons: tuple[str, ...], output: Path | None, seed: int, as_json: bool
) -> None:
    """Write the banks' questions and answers for another system."""
    from labs_lib.assessment.banks import load_banks
    from labs_lib.assessment.export import export_banks

    if form not in SUFFIXES:
        raise choice_error("format", form, SUFFIXES)
    banks = load_banks()
    for lesson in lessons:
        if lesson not in banks:
            raise choice_error("lesson", lesson, banks)
    chosen = [bank for lesson, bank in banks.items() if not lessons or lesson in lessons]
    path = output or Path(f"lora-lab-quizzes{SUFFIXES[form]}")
    count = export_banks(chosen, form, path, seed)
    if as_json:
        click.echo(json.dumps({"file": str(path), "format": form, "questions": count}))
    else:
        click.echo(f"{path}: {count} questions, with their answers")
