"""`labs models`: the catalogue, or one model's shapes."""

from __future__ import annotations

import json
from typing import Any

import click

from labs_lib.models.catalogue import Entry, catalogue, entry


@click.command("models")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(name: str | None, as_json: bool) -> None:
    """List the catalogue, or show the shapes of the model NAME (catalogue or hub name)."""
    if as_json:
        content = describe(entry(name)) if name else [describe(each) for each in _all()]
        click.echo(json.dumps(content, indent=2))
    elif name:
        _print_shapes(entry(name))
    else:
        _print_catalogue()


def describe(model: Entry) -> dict[str, Any]:
    """Return what `labs models --json` prints about one model, as plain values."""
    return {
        "name": model.name,
        "hub_name": model.hub_name,
        "licence": model.licence,
        "bundled": model.bundled,
        "model_type": model.family.model_type,
        "architecture": model.family.architecture,
        "parameters": model.parameters,
        "layers": model.layers,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "heads": model.heads,
        "key_value_heads": model.key_value_heads,
        "head_size": model.head_size,
        "vocab_size": model.vocab_size,
        "max_positions": model.max_positions,
        "tie_word_embeddings": model.tie_word_embeddings,
        "fan_in_fan_out": model.fan_in_fan_out,
        "linears": [
            {**linear.model_dump(), "name": linear.name, "role": linear.role}
            for linear in model.linears
        ],
    }


def _all() -> list[Entry]:
    return list(catalogue().values())


def _print_catalogue() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title="Models the course knows",
        caption="* comes with the course; `labs models NAME` shows a model's shapes",
    )
    table.add_column("name", no_wrap=True)
    table.add_column("licence", overflow="fold")
    for column in ("parameters", "layers", "hidden", "heads (kv)"):
        table.add_column(column, justify="right")
    for model in _all():
        table.add_row(
            model.name + (" *" if model.bundled else ""),
            model.licence,
            _short_count(model.parameters),
            str(model.layers),
            str(model.hidden_size),
            f"{model.heads} ({model.key_value_heads})",
        )
    Console().print(table)


def _print_shapes(model: Entry) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    facts = {
        "hub name": model.hub_name,
        "licence": model.licence,
        "class": model.family.architecture,
        "parameters": f"{model.parameters:,}",
        "layers": model.layers,
        "heads": f"{model.heads} query, {model.key_value_heads} key/value, {model.head_size} wide",
        "vocabulary": f"{model.vocab_size:,}, "
        + ("shared by input and output" if model.tie_word_embeddings else "not shared with output"),
        "longest sequence": f"{model.max_positions:,} tokens",
        "weights stored": "(in, out): PEFT's fan_in_fan_out"
        if model.fan_in_fan_out
        else "(out, in)",
    }
    console = Console()
    console.print(f"[bold]{model.name}[/bold]")
    for fact, value in facts.items():
        console.print(f"  {fact}: {value}", highlight=False)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=f"Linear maps of each of the {model.layers} layers",
    )
    for column in ("module", "role"):
        table.add_column(column, no_wrap=True)
    for column in ("in", "out", "bias", "parameters"):
        table.add_column(column, justify="right")
    for linear in model.linears:
        table.add_row(
            linear.module,
            linear.role,
            f"{linear.in_features:,}",
            f"{linear.out_features:,}",
            "yes" if linear.bias else "no",
            f"{linear.parameters:,}",
        )
    console.print(table)


def _short_count(parameters: int) -> str:
    billions = parameters >= 1_000_000_000
    return f"{parameters / 1e9:.2f} B" if billions else f"{parameters / 1e6:.1f} M"
