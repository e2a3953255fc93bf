"""`labs doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from labs_lib.health import examine


@click.command("doctor")
@click.option("--hub", is_flag=True, help="Also try to reach the model hub (uses the network).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def command(ctx: click.Context, hub: bool, as_json: bool) -> None:
    """Check this machine and say how to mend what is missing; exit status 1 if anything is."""
    checks = examine(ask_hub=hub)
    fine = all(check.state != "missing" for check in checks)
    if as_json:
        content = {"ok": fine, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(content, indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.state:8}  {check.name:{width}}  {check.found}")
            if check.mend:
                click.echo(f"{'':8}  {'':{width}}  mend: {check.mend}")
        click.echo("Everything the course needs is here." if fine else "Something is missing.")
    ctx.exit(0 if fine else 1)
