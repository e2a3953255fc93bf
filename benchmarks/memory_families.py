"""How far a fitted forecast is from the trace, over the catalogue's families and methods.

    python benchmarks/memory_families.py [--models NAME …] [--json results.json]

Each model that the formula has no layer for meets each method at each setting of a grid. Printed
are the worst case, and of each model its worst, the seconds of its first fit and of a later answer.
The file is written after each model, and a model that is in it is not traced again.

Takes about 15 minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

from record import write_record

from labs_lib.memory import curves, fitted, request_of, trace
from tools.memory_fits import NEWER

METHODS: tuple[dict[str, Any], ...] = (
    {"method": "full"},
    {"method": "lora"},
    {"method": "lora", "targets": "all-linear", "checkpointing": True},
    {"method": "qlora", "targets": "all-linear", "precision": "mixed", "prepare_kbit": True},
)
GRID: tuple[dict[str, Any], ...] = (
    {"batch": 1, "seq_len": 128, "rank": 8},
    {"batch": 1, "seq_len": 2048, "rank": 64, "optimizer": "paged_adamw_8bit"},
    {"batch": 4, "seq_len": 512, "rank": 16, "optimizer": "adamw_fused"},
)


def case(model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return both peaks of one request, and how long the fitted one took."""
    request = request_of(model, **fields)
    start = time.perf_counter()
    found = fitted(request)
    seconds = time.perf_counter() - start
    traced = trace(request).peak_bytes
    return {
        "model": model,
        "fields": fields,
        "fitted_bytes": found.peak_bytes,
        "traced_bytes": traced,
        "error": found.peak_bytes / traced - 1,
        "seconds": seconds,
    }


def main() -> None:
    """Print the tables; write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=NEWER, default=NEWER, metavar="NAME")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    file: Path | None = arguments.json
    rows: list[dict[str, Any]] = (
        json.loads(file.read_text("utf-8"))["rows"] if file and file.exists() else []
    )
    curves.read_shipped = lambda _key: None  # fits of today's code, not those that ship
    trace("gpt2")  # the libraries' imports
    for model in arguments.models:
        if any(row["model"] == model for row in rows):
            continue
        mine = [case(model, how | at) for how, at in itertools.product(METHODS, GRID)]
        rows += mine
        worst = worst_of(mine)
        times = sorted(row["seconds"] for row in mine)
        print(
            f"{model:24} worst {worst['error']:+.3%}, first fit {times[-1]:.1f} s, "
            f"later {statistics.median(times[:3]) * 1e3:.2f} ms",
            flush=True,
        )
        if file:
            write_record(file, rows=rows, worst=worst_of(rows))
    worst = worst_of(rows)
    print(f"worst of {len(rows)}: {worst['error']:+.3%} on {worst['model']}, {worst['fields']}")


def worst_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row that is furthest from the trace."""
    return max(rows, key=lambda row: abs(row["error"]))


if __name__ == "__main__":
    main()
