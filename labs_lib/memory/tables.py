"""Forecasts next to what others measured and published."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.memory.architecture import architecture
from labs_lib.memory.closed_form import forecast
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.tables import Table
from labs_lib.yamls import read_yaml


@dataclass(frozen=True)
class PublishedRow:
    """One measured peak from a public table, with what was run and on what.

    `comparable` is False where the run differs from a plain PEFT step by a `mechanism`, which
    `remark` explains; such a row is shown and not counted among the comparable ones.
    """

    source: str
    url: str
    hardware: str
    versions: str
    settings: str
    measured_bytes: int
    request: MemoryRequest
    comparable: bool
    remark: str
    mechanism: str = ""
    loss_chunks: int = 1
    keeps_inputs: bool = False
    fused_scores: bool = False


@dataclass(frozen=True)
class Compared:
    """A published row and its forecast; `difference` is forecast / measured − 1.

    `explained_bytes` is the forecast with the row's own mechanism worked in, where it can be
    computed (`loss_chunks`, `keeps_inputs`, `fused_scores`); `explained_difference` goes with it.
    """

    row: PublishedRow
    forecast_bytes: int
    difference: float
    explained_bytes: int
    explained_difference: float


@functools.cache
def published() -> tuple[PublishedRow, ...]:
    """Return the published rows, in the order of `published.yaml`."""
    content = read_yaml(Path(__file__).with_name("published.yaml"))
    rows: list[PublishedRow] = []
    for table in content["tables"]:
        for row in table["rows"]:
            unit = 10**9 if "peak_gb" in row else 2**30
            peak = row.get("peak_gb", row.get("peak_gib"))
            rows.append(
                PublishedRow(
                    source=table["source"],
                    url=table["url"],
                    hardware=row.get("hardware", table.get("hardware", "")),
                    versions=table.get("versions", ""),
                    settings=table.get("settings", ""),
                    measured_bytes=round(peak * unit),
                    request=request_of(**{**table["request"], **row["request"]}),
                    comparable=row.get("comparable", table.get("comparable", True)),
                    remark=row.get("remark", table.get("remark", "")),
                    mechanism=row.get("mechanism", ""),
                    loss_chunks=row.get("loss_chunks", 1),
                    keeps_inputs=row.get("keeps_inputs", False),
                    fused_scores=row.get("fused_scores", False),
                )
            )
    return tuple(rows)


def report() -> list[Compared]:
    """Return every published row beside the closed form's forecast."""
    compared: list[Compared] = []
    for row in published():
        peak = forecast(row.request).peak_bytes
        explained = peak + _mechanism(row)
        compared.append(
            Compared(
                row,
                peak,
                peak / row.measured_bytes - 1,
                explained,
                explained / row.measured_bytes - 1,
            )
        )
    return compared


def _mechanism(row: PublishedRow) -> int:
    """Return the bytes by which the row's own way of working differs from a PEFT step."""
    shapes, request = architecture(row.request.model), row.request
    chunked = 12 * request.tokens * shapes.vocab_size * (1 - 1 / row.loss_chunks)
    # What enters qkv, the first MLP products and the last: kept by no one else.
    widths = 2 * shapes.hidden_size + shapes.intermediate_size
    inputs = shapes.layers * request.compute_itemsize * request.tokens * widths
    scores = shapes.layers * 4 * request.batch * shapes.heads * request.seq_len**2
    return round(inputs * row.keeps_inputs - scores * row.fused_scores - chunked)


def published_table() -> Table:
    """Return every published row for people: measured, forecast, its mechanism, what is left.

    "Left" is the difference once the mechanism is worked in.
    """
    rows = [
        (
            each.row.source.split(",")[0],
            f"{each.row.request.model}, {each.row.request.method}",
            f"{each.row.request.tokens:,}",
            f"{each.row.measured_bytes / 10**9:.2f}",
            f"{each.difference:+.1%}",
            each.row.mechanism,
            f"{each.explained_difference:+.1%}" if each.row.mechanism else "",
        )
        for each in report()
    ]
    heads = ("source", "what was run", "tokens", "measured (GB)", "formula")
    return Table.of((*heads, "what the run does differently", "left"), rows)


def as_rows(compared: list[Compared]) -> list[dict[str, Any]]:
    """Return the report as plain values for a table or JSON; bytes are bytes."""
    return [
        {
            "source": each.row.source,
            "model": each.row.request.model,
            "method": each.row.request.method,
            "batch": each.row.request.batch,
            "seq_len": each.row.request.seq_len,
            "hardware": each.row.hardware,
            "measured_bytes": each.row.measured_bytes,
            "forecast_bytes": each.forecast_bytes,
            "difference": each.difference,
            "explained_bytes": each.explained_bytes,
            "explained_difference": each.explained_difference,
            "comparable": each.row.comparable,
            "remark": each.row.remark,
        }
        for each in compared
    ]
