"""Where the time of a training step goes, as `benchmarks/profile_step.py` recorded it."""

from __future__ import annotations

from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import percent, provenance, records
from tools.tables.training import METHODS

LENGTHS = ("short", "long")


def profile() -> str:
    """Return of each kind of CPU and each length the shares of a step by kind of operation."""
    parts = []
    for length in LENGTHS:
        for precision, values in records(f"profile-{length}").items():
            name = f"profile-{length}-{precision}"
            command = (
                f"`python benchmarks/profile_step.py --length {length} "
                f"--json benchmarks/results/{name}.json`"
            )
            made = f"{command}: {provenance(values)}, one thread, {length} rows."
            parts += [paragraph(made), _shares(values["rows"])]
    return "\n\n".join(parts)


def _shares(rows: list[dict[str, Any]]) -> str:
    kinds = dict.fromkeys(kind for row in rows for kind in row["kinds"])
    lines = [("a step, ms", *(f"{row['milliseconds']:,.0f}" for row in rows))]
    lines += [
        (kind, *(percent(row["kinds"].get(kind, 0) / row["milliseconds"]) for row in rows))
        for kind in kinds
    ]
    lines.append(("products, GFLOP/s", *(f"{row['product_gflops']:.0f}" for row in rows)))
    return table(("share of a step", *(METHODS[row["method"]] for row in rows)), lines)
