"""How far the losses of three ways to train are apart, as `benchmarks/losses.py` recorded it."""

from __future__ import annotations

from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, records
from tools.tables.training import METHODS

NAMES = {"ours": "ours", "trl": "TRL", "loop": "the fp32 loop"}


def losses() -> str:
    """Return each pair's difference in held-out loss, for each kind of CPU: mean and spread."""
    parts = []
    for precision, values in records("losses").items():
        seeds = len(values["rows"][0]["losses"]["ours"])
        made = (
            f"`python benchmarks/losses.py --seeds {seeds} "
            f"--json benchmarks/results/losses-{precision}.json`: {provenance(values)}, "
            f"{seeds} seeds, {values['steps']} steps, {values['length']} rows."
        )
        header = ("method", "compared", "mean difference", "95 % interval", "from seed to seed")
        rows = [_row(row["method"], pair) for row in values["rows"] for pair in row["pairs"]]
        parts += [paragraph(made), table(header, rows)]
    return "\n\n".join(parts)


def _row(method: str, pair: dict[str, Any]) -> tuple[str, ...]:
    one, other = (NAMES[way] for way in pair["pair"])
    low, high = pair["interval"]
    return (
        METHODS[method],
        f"{one} with {other}",
        _signed(pair["difference"]),
        f"{_signed(low)} to {_signed(high)}",
        _signed(pair["spread"]).replace("+", "±"),
    )


def _signed(share: float) -> str:
    return f"{share:+.1%}".replace("-", "−").replace("%", " %")
