"""`labs quiz`: check the question banks, or export them to other systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs_lib.errors import LabError, choice_error
from labs_lib.files import friendly_os_errors

if TYPE_CHECKING:
    from labs_lib.assessment.guessing import GuessingScore

SUFFIXES = {"csv": ".csv", "qti": ".zip", "moodle": ".xml", "anki": ".apkg"}


@click.group("quiz")
def command() -> None:
    """Check the question banks, or export them."""


@command.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def check(paths: tuple[Path, ...], as_json: bool) -> int:
    """Check banks (all of the course's, or PATHS: files, folders); name every problem's line."""
    from labs_lib.assessment.banks import bank_files
    from labs_lib.assessment.lint import check_banks, guessed

    files = [each for path in paths for each in (bank_files(path) if path.is_dir() else [path])]
    banks, problems = check_banks(files if paths else None)
    if not banks and not problems:
        raise LabError("quiz: no bank found (*.yaml)")
    if as_json:
        content = {
            "banks": [
                {
                    "file": bank.name,
                    "lesson": bank.lesson,
                    "questions": len(bank.questions),
                    "objectives": len(bank.objectives),
                    "guessing": [_score(each) for each in guessed(bank)],
                }
                for bank in banks
            ],
            "guessing": [_score(each) for each in guessed(*banks)],
            "problems": [
                {"file": str(each.path), "line": each.line, "message": each.message}
                for each in problems
            ],
        }
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for bank in banks:
            click.echo(f"{bank.name}: {len(bank.questions)} questions")
        for each in problems:
            click.echo(f"{each.path}:{each.line}: {each.message}", err=True)
        click.echo(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return 2 if problems else 0


def _score(score: GuessingScore) -> dict[str, Any]:
    """Return what a way of guessing reaches, as JSON."""
    return {
        "rule": score.rule,
        "single_choices": score.count,
        "right": round(score.right, 2),
        "chance": round(score.expected, 2),
        "at_most": score.allowed,
        "found": list(score.found),
    }


@command.command("export")
@click.option("--format", "form", required=True, help="csv, qti, moodle or anki")
@click.option("--lesson", "lessons", multiple=True, help="Only this lesson (may be repeated).")
@click.option("--output", type=click.Path(path_type=Path), help="File to write.")
@click.option("--seed", default=0, show_default=True, help="Numbers of parameterised questions.")
@click.option(
    "--ordering-as-choice",
    is_flag=True,
    help="For a Moodle without ordering questions (before 4.4): a choice between four orders, as "
    "in QTI.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def export(
    form: str,
    lessons: tuple[str, ...],
    output: Path | None,
    seed: int,
    ordering_as_choice: bool,
    as_json: bool,
) -> None:
    """Write the banks' questions and answers for another system; an older file is replaced."""
    from labs_lib.assessment.banks import load_banks
    from labs_lib.assessment.export import export_banks, left_out, lost

    if form not in SUFFIXES:
        raise choice_error("format", form, SUFFIXES)
    banks = load_banks()
    for lesson in lessons:
        if lesson not in banks:
            raise choice_error("lesson", lesson, banks)
    chosen = [bank for lesson, bank in banks.items() if not lessons or lesson in lessons]
    path = output or Path(f"lora-lab-quizzes{SUFFIXES[form]}")
    if str(path) == "-":
        raise LabError("output: '-' is no file name, and nothing is written to the terminal")
    with friendly_os_errors(path):
        replaced = path.is_file()
    count = export_banks(chosen, form, path, seed, ordering_as_choice=ordering_as_choice)
    without = left_out(chosen, form, seed)
    losses = lost(chosen, form, seed, ordering_as_choice=ordering_as_choice)
    if as_json:
        content = {"file": str(path), "format": form, "questions": count, "left_out": without,
                   "losses": [each._asdict() for each in losses], "replaced": replaced}  # fmt: skip
        click.echo(json.dumps(content, ensure_ascii=False))
    else:
        before = "; the file that stood there is replaced" if replaced else ""
        click.echo(f"{path}: {count} questions, with their answers{before}")
        if without:
            click.echo(f"left out, since {form} cannot hold them: {', '.join(without)}")
        if losses:
            click.echo(f"not in {form} as in the course:")
        for each in losses:
            click.echo(f"  {each}")
