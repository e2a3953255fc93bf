"""`labs`: the course's tools at the command line; each verb's code loads when it is called."""

from __future__ import annotations

import importlib
import sys

import click
from typing_extensions import override

from labs_lib import __version__
from labs_lib.endings import ask_for_tracebacks, one_line_errors
from labs_lib.errors import nearest

__all__ = ["VERBS", "VerbGroup", "labs", "main", "one_line_errors", "with_debug"]

DEBUG = "Show the traceback of an error."

# verb → (module that defines it, one line for `labs --help`), so that help loads no room.
VERBS: dict[str, tuple[str, str]] = {
    "doctor": (
        "labs_lib.commands.doctor",
        "Check this machine and say how to mend what is missing.",
    ),
    "models": ("labs_lib.commands.models", "List the catalogue, or show one model's shapes."),
    "memory": ("labs_lib.commands.memory", "Forecast what fine-tuning a model costs in bytes."),
    "train": ("labs_lib.commands.train", "Fine-tune a model by a recipe."),
    "generate": ("labs_lib.commands.generate", "Answer prompts with a model and an adapter."),
    "compare": (
        "labs_lib.commands.compare",
        "Train by full fine-tuning, LoRA and QLoRA, side by side.",
    ),
    "merge": ("labs_lib.commands.merge", "Merge an adapter into its base model."),
    "export": (
        "labs_lib.commands.export",
        "Bring a run out of the course, or a lesson as an assignment of nbgrader or otter.",
    ),
    "serve": (
        "labs_lib.commands.serve",
        "Answer OpenAI's clients on this machine, with the adapters of runs.",
    ),
    "sweep": ("labs_lib.commands.sweep", "Train a recipe at many points and seeds, or show one."),
    "claims": (
        "labs_lib.commands.claims",
        "List what is said about LoRA and QLoRA, with the verdict on each, or show one.",
    ),
    "quiz": ("labs_lib.commands.quiz", "Check the question banks, or export them."),
    "lesson": (
        "labs_lib.commands.lesson",
        "Lay the lessons to work in; start one again, or bring in its new text.",
    ),
    "review": (
        "labs_lib.commands.review",
        "Ask the questions that are due again, and record the answers.",
    ),
    "hand-in": (
        "labs_lib.commands.hand_in",
        "Put your work on a class's release into one file, to be handed in.",
    ),
    "class": (
        "labs_lib.commands.classes",
        "Release lessons to a class, collect what comes back, and grade it.",
    ),
    "progress": ("labs_lib.commands.progress", "Show what is done and what is worth another look."),
}


class VerbGroup(click.Group):
    """A command group that imports a verb's module only when the verb is used."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a student meets them."""
        return list(VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the verb's command; an unknown verb names the nearest one."""
        if cmd_name not in VERBS:
            legal = ", ".join(VERBS)
            raise click.UsageError(
                f"no verb {cmd_name!r}; legal: {legal}{nearest(cmd_name, VERBS)}"
            )
        return with_debug(importlib.import_module(VERBS[cmd_name][0]).command)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs and their one-liners without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="labs")
@click.option("--debug", is_flag=True, expose_value=False, callback=ask_for_tracebacks, help=DEBUG)
def labs() -> None:
    """LoRA Lab at the command line.  Every verb takes --json for programs."""


def with_debug(command: click.Command) -> click.Command:
    """Return `command` with `--debug`, as each of its sub-commands has it then."""
    if not any("--debug" in parameter.opts for parameter in command.params):
        option = click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=ask_for_tracebacks, help=DEBUG
        )
        command.params.append(option)
    for each in getattr(command, "commands", {}).values():
        with_debug(each)
    return command


def main(arguments: list[str] | None = None) -> None:
    """Run `labs`; whatever goes wrong ends with one line on stderr and exit status 2."""
    with one_line_errors("labs"):
        status = labs.main(arguments, prog_name="labs", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
