"""`labs merge`: write base + adapter as one ordinary model."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("merge", help="Merge the adapter in folder ADAPTER into its base model.")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--model", help="Base model; by default the one the adapter names.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(adapter: Path, out: Path, model: str | None, as_json: bool) -> None:
    """Merge and say where the model lies."""
    from labs_lib.training import merge, quiet_libraries
    from labs_lib.training.adapter.loading import other_base

    with quiet_libraries():
        folder = merge(adapter, out, model)
        if model and (note := other_base(adapter, model)):
            click.echo(f"Note: {note}", err=True)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "weights_bytes": size}))
    else:
        click.echo(f"merged model in {folder} ({size / 2**20:.0f} MiB of weights)")
