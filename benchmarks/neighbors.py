"""A training step alone and beside neighbors on the same cores, by how OpenMP's threads wait.

    python benchmarks/neighbors.py [--neighbors 3] [--rounds 5] [--ways default,...] [--json F]

Every way of waiting has a process of its own: a student who takes LoRA's steps on the bundled
model. The students take a step in turns, first alone, then beside neighbors: processes that take
such steps without a pause (`students`, each with the way of the one who is timed), or that count
(`counting`). A machine's speed changes within a minute, so the ratios of one run mean something;
seconds of two runs do not. Leave every other program out. The course sets the way `spin 1000`.

Takes about 20 minutes: a student who spins beside others takes half a minute a step. The file is
written after each way.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from record import write_record
from training_turns import Worker, say, wait

# What is set before OpenMP is loaded; an empty value leaves OpenMP as it comes.
WAYS: dict[str, dict[str, str]] = {
    "default": {},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 100": {"GOMP_SPINCOUNT": "100"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
SET = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
KINDS = ("students", "counting")
COUNTING = "while True: pass"
SETTLING_SECONDS = 0.5
ROWS, LENGTH = 4, 65  # the short rows of `training.py`


def student(at_once: bool) -> None:
    """Take a step of LoRA whenever told to, or all the time."""
    import torch  # before labs_lib, which would set what is not set
    from peft import LoraConfig, get_peft_model

    from labs_lib import models
    from labs_lib.quiet import quiet_libraries

    torch.manual_seed(0)
    with quiet_libraries():
        base = models.load_model()
        model = get_peft_model(base, LoraConfig(r=8, target_modules="all-linear"))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, 49152, (ROWS, LENGTH))
    say({"threads": torch.get_num_threads()})
    while True:
        if not at_once:
            wait()
        started = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if not at_once:
            say({"seconds": time.perf_counter() - started})


def environment(way: str) -> dict[str, str]:
    """Return the variables of a process that waits in this way, whatever is set here."""
    rest = {name: value for name, value in os.environ.items() if name not in SET}
    return rest | WAYS[way]


@contextmanager
def neighbors(kind: str, count: int, way: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield processes that keep the cores busy, stopped for now; they end with the block."""
    program = [__file__, "--student", "all the time"] if kind == "students" else ["-c", COUNTING]
    started = [
        subprocess.Popen(
            [sys.executable, *program], env=environment(way), text=True, stdout=subprocess.PIPE
        )
        for _ in range(count)
    ]
    try:
        if kind == "students":
            for process in started:  # it has its model
                assert process.stdout
                process.stdout.readline()
        wake(started, signal.SIGSTOP)
        yield started
    finally:
        wake(started, signal.SIGKILL)
        for process in started:
            process.wait()


def wake(processes: Sequence[subprocess.Popen[str]], sign: int) -> None:
    """Send all of them a signal."""
    for process in processes:
        process.send_signal(sign)


def student_of(way: str) -> Worker:
    """Return a student that has its model and took its first steps."""
    worker = Worker([sys.executable, __file__, "--student", "in turns"], environment(way))
    worker.hear()
    for _ in range(2):
        worker.ask()
    return worker


def alone(ways: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Return each way's seconds a step with nobody else there, taken in turns."""
    students = {way: student_of(way) for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, worker in students.items():
            seconds[way].append(worker.ask()["seconds"])
    for worker in students.values():
        worker.close()
    return seconds


def beside(way: str, kind: str, count: int, rounds: int) -> dict[str, list[float]]:
    """Return a way's seconds a step: alone and beside neighbors, in turns."""
    worker = student_of(way)
    seconds: dict[str, list[float]] = {"alone": [], "beside": []}
    with neighbors(kind, count, way) as started:
        for _ in range(rounds):
            seconds["alone"].append(worker.ask()["seconds"])
            wake(started, signal.SIGCONT)
            time.sleep(SETTLING_SECONDS)
            seconds["beside"].append(worker.ask()["seconds"])
            wake(started, signal.SIGSTOP)
    worker.close()
    return seconds


def main() -> None:
    """Time every way, print a line each, write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--neighbors", type=int, default=3, help="how many, by default 3")
    parser.add_argument("--rounds", type=int, default=5, help="steps that are timed, by default 5")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--student", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.student:
        student(at_once=arguments.student != "in turns")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with the neighbors, as on an error
    ways = arguments.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        parser.error(f"--ways: {unknown[0]!r} is none of {', '.join(WAYS)}")
    for name in ("neighbors", "rounds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: {getattr(arguments, name)} is not legal: 1 or more")
    found_alone = alone(ways, arguments.rounds * 3)
    figures = {way: {"alone, in turns": seconds} for way, seconds in found_alone.items()}
    print(f"{'':<12}{'alone':>9}  {'of default':>10}", flush=True)
    first = statistics.median(figures[ways[0]]["alone, in turns"])
    for way in ways:
        middle = statistics.median(figures[way]["alone, in turns"])
        print(f"{way:<12}{middle:>7.2f} s{middle / first:>12.2f}", flush=True)
    for kind in KINDS:
        print(f"\nbeside {arguments.neighbors} {kind}: alone, beside (most), times", flush=True)
        for way in ways:
            found = beside(way, kind, arguments.neighbors, arguments.rounds)
            figures[way] |= {f"{where}, {kind}": seconds for where, seconds in found.items()}
            before, after = (statistics.median(found[where]) for where in ("alone", "beside"))
            most = max(found["beside"])
            print(
                f"{way:<12}{before:>7.2f} s{after:>8.2f} s ({most:.2f}){after / before:>8.1f}",
                flush=True,
            )
            if arguments.json:
                write_record(arguments.json, neighbors=arguments.neighbors, figures=figures)


if __name__ == "__main__":
    main()
