"""Forecasts next to what others measured and published."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.errors import choice_error
from labs_lib.memory.allocator import WORKSPACE_BYTES
from labs_lib.memory.architecture import architecture
from labs_lib.memory.closed_form import OF_ATTENTION, forecast
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.reserving import reserved_for
from labs_lib.memory.result import Forecast
from labs_lib.tables import Table
from labs_lib.yamls import read_yaml

_UNITS = {"gb": 10**9, "gib": 2**30, "mib": 2**20}
# What a row or its table may say and mostly does not.
_OPTIONAL = (
    "mechanism", "loss_chunks", "keeps_inputs", "fused_scores", "keeps_logits", "half",
    "workspaces", "role", "counts", "untied", "last_tokens", "reserves",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedRow:
    """One measured peak from a public table, with what was run and on what.

    `comparable` is False where the run differs from a plain PEFT step by a `mechanism`, which
    `remark` explains; such a row is shown and not counted among the comparable ones. `role` is
    "calibration" (a constant may be fitted to it), "holdout" (never) or "excluded" (no error counts
    it, and `remark` says why). `counts` is what was read: "allocated", "reserved" or "not stated".
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
    keeps_logits: bool = False
    half: bool = False
    workspaces: int = 0
    role: str = "holdout"
    counts: str = "not stated"
    reserved_bytes: int | None = None
    untied: bool = False
    last_tokens: int = 0
    reserves: bool = False


@dataclass(frozen=True)
class Compared:
    """A published row and its forecast; `difference` is forecast / measured − 1.

    The forecast is that of the peak, or of the moment after the step for a row that was read there.

    `explained_bytes` is the forecast with the row's own mechanism worked in, where it can be
    computed (`loss_chunks`, `keeps_inputs`, `fused_scores`, `keeps_logits`, `half`, `workspaces`,
    `untied`, `last_tokens`, `reserves`); `explained_difference` goes with it.
    """

    row: PublishedRow
    forecast_bytes: int
    difference: float
    explained_bytes: int
    explained_difference: float


@functools.cache
def published() -> tuple[PublishedRow, ...]:
    """Return the published rows, in the order of `published.yaml` and `published_t4.yaml`."""
    here = Path(__file__).parent
    return tuple(
        _row_of(table, row)
        for name in ("published.yaml", "published_t4.yaml")
        for table in read_yaml(here / name)["tables"]
        for row in table["rows"]
    )


def _row_of(table: dict[str, Any], row: dict[str, Any]) -> PublishedRow:
    """Return one row, which takes from its table what it does not say itself."""
    fields = {**table, **row}
    unit = next(name for name in _UNITS if f"peak_{name}" in row)
    reserved = row.get(f"reserved_{unit}")
    return PublishedRow(
        source=table["source"],
        url=table["url"],
        measured_bytes=round(row[f"peak_{unit}"] * _UNITS[unit]),
        reserved_bytes=round(reserved * _UNITS[unit]) if reserved else None,
        request=request_of(**{**table["request"], **row["request"]}),
        comparable=fields.get("comparable", True),
        hardware=fields.get("hardware", ""),
        versions=fields.get("versions", ""),
        settings=fields.get("settings", ""),
        remark=fields.get("remark", ""),
        **{name: fields[name] for name in _OPTIONAL if name in fields},
    )


def report() -> list[Compared]:
    """Return every published row beside the closed form's forecast."""
    compared: list[Compared] = []
    for row in published():
        found = forecast(row.request)
        peak = _after_step(found) if row.last_tokens else found.peak_bytes
        explained = _explained(row, found)
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


def _explained(row: PublishedRow, found: Forecast) -> int:
    """Return the bytes that the source would have read, by the row's own mechanisms."""
    if row.last_tokens:
        logits = row.request.compute_itemsize * row.last_tokens
        logits *= architecture(row.request.model).vocab_size
        return _after_step(found) + logits
    peak = found.peak_bytes + _mechanism(row, found)
    return reserved_for(row.request, peak).likely_bytes if row.reserves else peak


def _after_step(found: Forecast) -> int:
    """Return the bytes that are alive between the optimizer's step and the gradients' end."""
    held = found.weights_bytes + found.adapter_bytes + found.optimizer_bytes
    return held + found.gradients_bytes


def _mechanism(row: PublishedRow, found: Forecast) -> int:
    """Return the bytes by which the row's own way of working differs from a PEFT step."""
    shapes, request = architecture(row.request.model), row.request
    chunked = 12 * request.tokens * shapes.vocab_size * (1 - 1 / row.loss_chunks)
    # What enters qkv, the first MLP products and the last: kept by no one else.
    widths = 2 * shapes.hidden_size + shapes.intermediate_size
    inputs = shapes.layers * request.compute_itemsize * request.tokens * widths
    scores = request.batch * shapes.heads * request.seq_len**2
    # A base prepared for training has its head in fp32.
    logit = 4 if request.prepare_kbit else request.compute_itemsize
    logits = logit * request.tokens * shapes.vocab_size
    # A second table of words, with its gradient and states where it is trained.
    copies = 4 if request.trains_all else 1
    head = copies * request.weight_itemsize * shapes.vocab_size * shapes.hidden_size
    narrower = 0
    if row.half and logit == 2 and found.peak_moment == OF_ATTENTION:
        # As far as another moment does not become the highest, which fused attention has too.
        rest = forecast(request.but(attention="sdpa")).peak_bytes
        narrower = min(2 * scores, found.peak_bytes - rest)
    return round(
        inputs * row.keeps_inputs
        - shapes.layers * 4 * scores * row.fused_scores
        - chunked
        + logits * row.keeps_logits
        - narrower
        + WORKSPACE_BYTES * row.workspaces
        + head * row.untied
    )


def published_table(source: str = "") -> Table:
    """Return the published rows for people: measured, forecast, its mechanism, what is left.

    "Left" is the difference once the mechanism is worked in. With a `source` ("FitCheck") only its
    rows. Raises `LabError` for a source that has none.
    """
    shown = [each for each in report() if each.row.source.startswith(source)]
    if not shown:
        raise choice_error("source", source, sorted({_short(each) for each in report()}))
    rows = [
        (
            _short(each),
            f"{each.row.request.model}, {each.row.request.method}",
            f"{each.row.request.batch} × {each.row.request.seq_len:,}",
            f"{each.row.measured_bytes / 10**9:.2f}",
            f"{each.difference:+.1%}",
            each.row.mechanism,
            f"{each.explained_difference:+.1%}" if each.row.mechanism else "",
        )
        for each in shown
    ]
    heads = ("source", "what was run", "batch × tokens", "measured (GB)", "formula")
    return Table.of((*heads, "what the run does differently", "left"), rows)


def published_sources() -> Table:
    """Return a row for each source: how far the formula is from its peaks, by their role.

    Errors are of absolute differences, with the mechanisms worked in where they are computed.
    """
    groups: dict[tuple[str, str], list[Compared]] = {}
    for each in report():
        groups.setdefault((_short(each), each.row.role), []).append(each)
    rows = [
        (
            source,
            role,
            str(len(found)),
            _mean_and_worst([each.difference for each in found]),
            _mean_and_worst([each.explained_difference for each in found]),
        )
        for (source, role), found in groups.items()
    ]
    heads = ("source", "role", "peaks", "formula: mean, worst", "with the mechanisms")
    return Table.of(heads, rows)


def _short(each: Compared) -> str:
    return each.row.source.split(",")[0].split(" ")[0]


def _mean_and_worst(differences: list[float]) -> str:
    sizes = [abs(each) for each in differences]
    return f"{sum(sizes) / len(sizes):.1%}, {max(sizes):.1%}"


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
            "role": each.row.role,
            "counts": each.row.counts,
            "reserved_bytes": each.row.reserved_bytes,
            "remark": each.row.remark,
        }
        for each in compared
    ]
