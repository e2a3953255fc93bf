"""`labs export`: bring what a run trained out of the course."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

KINDS = ("card", "adapter", "merged", "gguf")


@click.command("export", help="Write what the run in folder RUN trained as others read it.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "kind", required=True, metavar="KIND", help=f"One of {', '.join(KINDS)}.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--dtype", metavar="DTYPE", help="Of merged: bf16 (the default), fp16 or fp32.")
@click.option("--type", "stored", metavar="TYPE", help="Of gguf: f16 (the default), f32 or q8_0.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: Path, kind: str, out: Path, dtype: str | None, stored: str | None, as_json: bool
) -> None:
    """Export and say what lies where, and what a person must still write."""
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
