"""`labs serve`: an OpenAI-style chat endpoint over one base and the adapters of runs."""

from __future__ import annotations

import json
import os
import sys
import threading

import click

from labs_lib.commands.numbers import WholeRange


@click.command("serve", help="Serve the adapters of RUNs on 127.0.0.1 until ctrl-C.")
@click.argument("runs", nargs=-1, required=True, metavar="[NAME=]RUN...")
@click.option(
    "--port", type=WholeRange(0, 65535), default=8000, show_default=True, help="0: a free one."
)
@click.option("--json", "as_json", is_flag=True, help="Print address and names as JSON.")
def command(runs: tuple[str, ...], port: int, as_json: bool) -> None:
    """Serve and say, once it answers, where and under which names."""
    from labs_lib.export.resident import named_folders
    from labs_lib.export.serving import Served, serve_until_interrupted

    def say(served: Served) -> None:
        if as_json:
            click.echo(json.dumps({"url": served.url, "models": served.names}))
            return
        click.echo(f"serving {', '.join(served.names)} at {served.url}; ctrl-C ends it")

    serve_until_interrupted(named_folders(runs), port, say)
    click.echo("labs: server stopped", err=True)
    _leave_waiting_threads()


def _leave_waiting_threads() -> None:
    """End the process at once if a thread of an unfinished answer is still there.

    Python would wait for it, and transformers' handler has threads that wait for the next token. A
    daemon is no better: Python's end takes the interpreter away from under its product.
    """
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
