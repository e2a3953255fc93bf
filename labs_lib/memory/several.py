"""Forecasts for several GPUs next to what others measured and published."""

from __future__ import annotations

from pathlib import Path

from labs_lib.memory.sharding import Sharded, shard
from labs_lib.tables import Table
from labs_lib.yamls import read_yaml

_UNITS = {"gb": 10**9, "gib": 2**30}


def published_on_several() -> Table:
    """Return a row for each published peak on several GPUs: what was read, and the forecast.

    The forecast is of allocated bytes, so it stays below what was read as reserved or in use.
    """
    rows: list[tuple[str, ...]] = []
    for table in read_yaml(Path(__file__).with_name("published_gpus.yaml"))["tables"]:
        for row in table["rows"]:
            found = shard(**{**table["request"], **row["request"]})
            unit = next(name for name in _UNITS if f"peak_{name}" in row)
            measured = row[f"peak_{unit}"] * _UNITS[unit]
            rows.append(
                (
                    table["source"].split(",")[0],
                    f"{found.request.model}, {found.request.method}",
                    _how(found),
                    f"{found.request.batch} × {found.request.seq_len:,}",
                    row["counts"],
                    f"{measured / 10**9:.2f}",
                    f"{found.peak_bytes / 10**9:.2f}",
                    f"{found.peak_bytes / measured - 1:+.1%}",
                )
            )
    heads = ("source", "what was run", "sharding", "batch × tokens", "what was read", "GB")
    return Table.of((*heads, "forecast (GB)", "difference"), rows)


def _how(found: Sharded) -> str:
    return f"{found.gpus} × {found.strategy.upper()}" + found.offload * " with offload"
