"""What the benchmarks recorded: figures, with the machine and the day they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = FOLDER / "results"
PRECISIONS = ("fp32", "bf16")
"""What CPUs compute in, by their kind: those without bf16 instructions, and those with them."""


def record(name: str) -> dict[str, Any]:
    """Return the record `benchmarks/results/NAME.json`."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def records(name: str) -> dict[str, dict[str, Any]]:
    """Return the records `NAME-PRECISION.json` that there are, by precision."""
    there = [each for each in PRECISIONS if (RESULTS / f"{name}-{each}.json").exists()]
    return {each: record(f"{name}-{each}") for each in there}


def provenance(values: dict[str, Any]) -> str:
    """Return the machine and the day of a record, as a phrase."""
    machine = values["machine"]
    return (
        f"{values['date']}, {machine['device_name']}, {machine['cores']} cores, "
        f"computing in {machine['precision']}"
    )


def seconds_text(seconds: float) -> str:
    """Return seconds as a person reads them: 0.13 s, 53 s, 20 min 34 s."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def mib(bytes_: float) -> str:
    """Return bytes in MiB."""
    return f"{bytes_ / 2**20:,.0f}"


def percent(share: float) -> str:
    """Return a share of one in percent, with the space that the READMEs put before the sign."""
    return f"{share:.0%}".replace("%", " %")
