"""Whether the recorded bench of PEFT methods repeats: one point of each method, trained again.

    python benchmarks/repeats.py [--task sea-captain] [--seed 0] [--json FILE]

Each run's held-out loss is held against the recorded ones of the same method over their seeds. A
loss more than twice the highest of them ends the program with status 1.

Takes about 5 minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from record import write_record

from labs_lib.training import recorded_bench, repeat_point
from labs_lib.training.progress import Silent

MOST = 2.0
"""A repeated loss above this many times the highest recorded one learned less."""


def main() -> int:
    """Print a line a method; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    bench = recorded_bench("methods")
    parser.add_argument("--task", choices=bench.tasks(), default=bench.tasks()[0])
    parser.add_argument("--seed", type=int, choices=bench.bench.seeds, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    rows = []
    for name in bench.methods(arguments.task):
        spread = bench.spread(arguments.task, name, "loss")
        (kept,) = (p for p in bench.of(arguments.task, name) if p.seed == arguments.seed)
        again = repeat_point(bench, arguments.task, name, arguments.seed, Silent())
        loss = float("inf") if again.loss is None else again.loss
        rows.append(
            {
                "name": name, "recorded": kept.loss, "low": spread.low, "high": spread.high,
                "loss": loss, "inside": spread.low <= loss <= spread.high,
            }
        )  # fmt: skip
        print(
            f"{name:15} recorded {kept.loss:.4f}, over the seeds {spread.text('{:.4f}')}; "
            f"now {loss:.4f}, {'inside' if rows[-1]['inside'] else 'outside'}",
            flush=True,
        )
    if arguments.json:
        write_record(arguments.json, task=arguments.task, seed=arguments.seed, rows=rows)
    return int(any(row["loss"] > MOST * row["high"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
