"""What torch's allocator reserves, by replay and by factor, against every published figure.

    python benchmarks/reserved.py [--json results.json]

A replay runs the allocator's own rules on the allocations of a trace of every layer
(`labs_lib.memory.allocator`); nothing of it is fitted. The factor is fitted to the calibration rows
alone. Printed is each row's error, then by role the mean and the worst.

Takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from record import write_record

HEAD = f"{'model':24}{'method':8}{'batch':>6}{'tokens':>7} {'attention':10}{'role':13}"
HEAD += f"{'measured':>12}{'replay':>9}{'factor':>9}"
LARGE = 0.08


def rows() -> list[dict[str, Any]]:
    """Return each published row that has reserved bytes, with both forecasts of them."""
    from labs_lib.memory import report
    from labs_lib.memory.reserving import reserved_for
    from labs_lib.memory.tracing import reservation

    found: list[dict[str, Any]] = []
    print(HEAD)
    for each in report():
        row, request = each.row, each.row.request
        if not row.reserved_bytes:
            continue
        replayed = reservation(request, keeps_logits=row.keeps_logits, half=row.half)
        factor = reserved_for(request, each.explained_bytes).likely_bytes
        errors = [bytes_ / row.reserved_bytes - 1 for bytes_ in (replayed.reserved_bytes, factor)]
        print(
            f"{request.model:24}{request.method:8}{request.batch:6}{request.seq_len:7,} "
            f"{request.attention:10}{row.role:13}{row.reserved_bytes / 2**20:8,.0f} MiB"
            f"{errors[0]:+9.1%}{errors[1]:+9.1%}",
            flush=True,
        )
        found.append(
            {
                "model": request.model,
                "method": request.method,
                "batch": request.batch,
                "seq_len": request.seq_len,
                "attention": request.attention,
                "role": row.role,
                "measured_bytes": row.reserved_bytes,
                "replay_bytes": replayed.reserved_bytes,
                "factor_bytes": factor,
            }
        )
    return found


def error(row: dict[str, Any], how: str) -> float:
    """Return how far a forecast is off, as a share of what was measured."""
    return abs(row[f"{how}_bytes"] / row["measured_bytes"] - 1)


def main() -> None:
    """Print the tables; write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    found = rows()
    print(f"\n{'role':13}{'rows':>5}{'by':>9}{'mean':>8}{'worst':>8}  above 8 %")
    for role in ("calibration", "holdout"):
        of_role = [row for row in found if row["role"] == role]
        for how in ("replay", "factor"):
            errors = [error(row, how) for row in of_role]
            print(
                f"{role:13}{len(errors):5}{how:>9}{statistics.mean(errors):8.1%}"
                f"{max(errors):8.1%}{sum(each > LARGE for each in errors):>11}"
            )
    if arguments.json:
        write_record(arguments.json, rows=found)


if __name__ == "__main__":
    main()
