"""What a training step costs here, beside three other ways to take the same step.

    python benchmarks/training.py [--steps N] [--methods lora,qlora,full] [--json results.json]

Four contenders train on the same rows in the same order, from the same weights, with the same
optimizer, learning rate and number of steps:

- trl: TRL's `SFTTrainer` with its defaults, in fp32 where the CPU has no bf16 instructions
- plain: transformers' `Trainer` on a model that PEFT wrapped, rows padded, every logit computed
- loop: forward, backward, clip, step, written by hand over the same batches
- ours: the trainer of `labs_lib.training`

Each lives in a process of its own, and they take turns step by step, so that a machine that slows
down slows all of them. The first step warms up and is not counted; the last runs under a counter
of live tensor bytes and is not timed. Then each tells its loss on the same held-out rows: the same
training must give the same loss.

The share of the matrix rate is the products that a step needs, over its seconds, over the rate of
a 2,048 × 2,048 product measured between the steps, in the precision that the course trains in.
A step needs 2 operations a weight and token forward, 2 backward, 2 more where the weight learns;
the vocabulary's projection only where a token is predicted; padding and attention's own products
are not counted. A second share counts the tokens that the layers were given: padding too, and a
beginning that rows share once, where it was computed once. The exit status is 0 whatever the
figures.

Takes about 25 minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import write_record
from training_task import LENGTHS, METHODS, held_out_loss, operations
from training_turns import Clock, Worker, say, wait
from training_ways import BUILD

CONTENDERS = ("trl", "plain", "loop", "ours")


def main() -> None:
    """Run every cell of the table and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each contender")
    parser.add_argument("--methods", default=",".join(METHODS), help="which of lora,qlora,full")
    parser.add_argument("--lengths", default=",".join(LENGTHS), help="which of short,long")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    methods, lengths = arguments.methods.split(","), arguments.lengths.split(",")
    for option, chosen, legal in (("methods", methods, METHODS), ("lengths", lengths, LENGTHS)):
        if unknown := [name for name in chosen if name not in legal]:
            parser.error(f"--{option}: {unknown[0]!r} is none of {', '.join(legal)}")
    if arguments.steps < 1:
        parser.error(f"--steps: {arguments.steps} is not legal; 1 or more")
    if arguments.contender:
        contend(arguments.contender, methods[0], lengths[0], arguments.steps + 2)
        return

    from labs_lib import hardware

    precision = hardware.detect().precision
    rows = []
    for method in methods:
        for length in lengths:
            print(f"{method}, {length} rows …", file=sys.stderr, flush=True)
            cell = measured_cell(method, length, arguments.steps, precision)
            rows += cell
            print(table(cell), flush=True)
    if arguments.json:
        write_record(arguments.json, steps=arguments.steps, rows=rows)


def measured_cell(method: str, length: str, steps: int, precision: str) -> list[dict[str, Any]]:
    """Return a row for each contender, all of them having stepped in turns."""
    command = [sys.executable, __file__, "--methods", method, "--lengths", length]
    command += ["--steps", str(steps), "--contender"]
    workers = {name: Worker([*command, name]) for name in CONTENDERS}
    ready = {name: worker.hear() for name, worker in workers.items()}
    steps_of: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    rates = [matrix_rate(precision)]
    for step in range(steps + 2):
        turn = CONTENDERS[step % len(CONTENDERS) :] + CONTENDERS[: step % len(CONTENDERS)]
        for name in turn:
            steps_of[name].append(workers[name].ask())
        rates.append(matrix_rate(precision))
    ends = {name: worker.ask() for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    rate = statistics.median(rates)
    rows = []
    for name in CONTENDERS:
        timed = steps_of[name][1:-1]
        seconds = [step["seconds"] for step in timed]
        needed, given = (
            sum(
                step[counted] * ready[name]["operations_per_token"]
                + step["labels"] * ready[name]["operations_per_label"]
                for step in timed
            )
            for counted in ("tokens", "tokens_given")
        )
        rows.append(
            {
                "method": method,
                "length": length,
                "contender": name,
                "seconds_per_step": statistics.median(seconds),
                "seconds_least": min(seconds),
                "seconds_most": max(seconds),
                "tokens_per_second": sum(step["tokens"] for step in timed) / sum(seconds),
                "matrix_share": needed / sum(seconds) / rate,
                "given_share": given / sum(seconds) / rate,
                "matrix_gflops": rate / 1e9,
                "peak_bytes": ends[name]["peak_bytes"],
                "held_out_loss": ends[name]["held_out_loss"],
            }
        )
    base = rows[0]
    for row in rows:
        row["times_trl"] = row["tokens_per_second"] / base["tokens_per_second"]
        row["loss_against_trl"] = row["held_out_loss"] / base["held_out_loss"] - 1
    return rows


def matrix_rate(precision: str, size: int = 2048, repeats: int = 5) -> float:
    """Return the floating-point operations a second of a square matrix product, at its best."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = [
        f"{'method':7}{'rows':6}{'way':6}{'s/step':>7}{'(range)':>14}{'tokens/s':>10}"
        f"{'x TRL':>7}{'of matrix rate':>16}{'as given':>10}{'peak MiB':>10}"
        f"{'held-out loss':>15}{'to TRL':>9}"
    ]
    for row in rows:
        spread = f"{row['seconds_least']:.2f}-{row['seconds_most']:.2f}"
        lines.append(
            f"{row['method']:7}{row['length']:6}{row['contender']:6}"
            f"{row['seconds_per_step']:7.2f}{spread:>14}{row['tokens_per_second']:10.0f}"
            f"{row['times_trl']:7.2f}{row['matrix_share']:16.0%}{row['given_share']:10.0%}"
            f"{row['peak_bytes'] / 2**20:10.0f}"
            f"{row['held_out_loss']:15.4f}{row['loss_against_trl']:+9.2%}"
        )
    return "\n".join([*lines, f"matrix rate {rows[0]['matrix_gflops']:.0f} GFLOP/s", ""])


def contend(name: str, method: str, length: str, steps: int) -> None:
    """Build one contender and step whenever the parent says so."""
    from labs_lib.quiet import quiet_libraries

    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        model, take_steps, data = BUILD[name](method, length, steps, folder)
        say(operations(model, method))
        clock = Clock(steps, model, data)
        take_steps(clock)
        wait()
        say({"peak_bytes": clock.peak_bytes, "held_out_loss": held_out_loss(model, length)})


if __name__ == "__main__":
    main()
