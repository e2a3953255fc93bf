"""The verbs of `labs`, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator

import click

from labs_lib.cli import VERBS, labs
from tools.tables.markdown import table


def verbs() -> str:
    """Return the table of all verbs, and of what stands under a verb."""
    context = click.Context(labs, info_name="labs")
    rows: list[tuple[str, str]] = []
    for name, (_, line) in VERBS.items():
        verb = labs.get_command(context, name)
        assert verb is not None
        if not isinstance(verb, click.Group) or verb.invoke_without_command:
            rows.append((f"`{usage(verb, name, context)}`", line))
        rows += [(f"`{call}`", line) for call, line in below(verb, name, context)]
    return table(("command", "what it does"), rows)


def below(verb: click.Command, name: str, parent: click.Context) -> Iterator[tuple[str, str]]:
    """Yield usage and purpose of each command of a group."""
    context = click.Context(verb, info_name=name, parent=parent)
    for name_below, command in getattr(verb, "commands", {}).items():
        yield usage(command, name_below, context), command.get_short_help_str(200)


def usage(command: click.Command, name: str, parent: click.Context) -> str:
    """Return how a command is called: its arguments, and the options that it cannot do without."""
    context = click.Context(command, info_name=name, parent=parent)
    options = [
        f"{parameter.opts[0]} {parameter.make_metavar(context)}"
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.required
    ]
    arguments = [
        piece
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Argument)
        for piece in parameter.get_usage_pieces(context)
    ]
    return " ".join([context.command_path, *arguments, *options])
