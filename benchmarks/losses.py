"""How far losses of the same training here, in TRL and in an fp32 loop are apart, over seeds.

    python benchmarks/losses.py [--seeds N] [--methods lora,qlora,full] [--json results.json]

One run says little: rounding alone moves the loss that a few steps end with. So three of the ways
of `training.py` train N times each, a seed having its rows and its first factors, the same for
each way:

- loop: forward, backward, clip, step, written by hand, in fp32 where the base is not in NF4
- trl: TRL's `SFTTrainer`, in the precision that it chooses on this CPU
- ours: the trainer of `labs_lib.training`

Each pair is compared seed by seed: the mean of the differences, in percent of the second's mean
loss, with an interval that holds the true mean in 95 of 100 such series (Student's t).

Takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import write_record
from training_task import LENGTHS, METHODS, held_out_loss
from training_ways import BUILD

WAYS = ("loop", "trl", "ours")
PAIRS = (("ours", "trl"), ("ours", "loop"), ("trl", "loop"))


class NoClock:
    """What a way calls around a step, when nobody times it."""

    def begin(self) -> None:
        """Let the step begin."""

    def end(self, optimizer: Any) -> None:
        """Let the next one begin."""


def main() -> None:
    """Train every way with every seed and print the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="trainings of each way, 2 or more")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--methods", default=",".join(METHODS), help="which of lora,qlora,full")
    parser.add_argument("--length", default="short", choices=list(LENGTHS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"--methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    for option, least in (("seeds", 2), ("steps", 1)):
        if getattr(arguments, option) < least:
            parser.error(f"--{option}: {getattr(arguments, option)} is not legal; {least} or more")
    rows = []
    for method in methods:
        losses: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(arguments.seeds):
            for way in WAYS:
                losses[way].append(trained(way, method, arguments.length, arguments.steps, seed))
                print(f"{method} {seed} {way} {losses[way][-1]:.4f}", file=sys.stderr, flush=True)
        compared = [difference(pair, losses) for pair in PAIRS]
        rows.append({"method": method, "losses": losses, "pairs": compared})
        print(table(method, compared), flush=True)
    if arguments.json:
        settings = {"length": arguments.length, "steps": arguments.steps}
        write_record(arguments.json, **settings, rows=rows)


def trained(way: str, method: str, length: str, steps: int, seed: int) -> float:
    """Return the held-out loss after one training."""
    from labs_lib.quiet import quiet_libraries

    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        model, take_steps, _ = BUILD[way](method, length, steps, folder, seed)
        take_steps(NoClock())
        loss = held_out_loss(model, length)
    del model, take_steps
    gc.collect()
    return loss


def difference(pair: Sequence[str], losses: dict[str, list[float]]) -> dict[str, Any]:
    """Return the mean difference of two ways and its interval, relative to the second's mean."""
    from scipy import stats

    one, other = (losses[way] for way in pair)
    level = statistics.mean(other)
    shares = [(a - b) / level for a, b in zip(one, other, strict=True)]
    mean, spread = statistics.mean(shares), statistics.stdev(shares)
    half = float(stats.t.ppf(0.975, len(shares) - 1)) * spread / len(shares) ** 0.5
    return {
        "pair": list(pair),
        "loss": level,
        "difference": mean,
        "interval": [mean - half, mean + half],
        "spread": spread,
    }


def table(method: str, compared: Sequence[dict[str, Any]]) -> str:
    """Return the comparisons as text."""
    lines = [
        f"{'method':7}{'pair':14}{'loss':>8}{'difference':>12}{'95 % interval':>20}{'spread':>8}"
    ]
    for row in compared:
        low, high = row["interval"]
        lines.append(
            f"{method:7}{' to '.join(row['pair']):14}{row['loss']:8.4f}{row['difference']:+12.2%}"
            f"{f'{low:+.2%} to {high:+.2%}':>20}{row['spread']:8.2%}"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
