"""How cost grows with the work: measured, drawn, and held against a straight line.

    python benchmarks/growth.py [--plot growth.png] [--json results.json]

A training step against rank, batch and length; a traced forecast against depth; grading against
the number of submissions. The exponent is the slope in a log-log plot: 1 is linear, 0 is free.
The exit status is 0 whatever the figures.

Takes about 5 minutes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import write_record
from training_task import recipe_of

REPEATS = 3
LAYERS = (8, 16, 32, 64, 128)
SUBMISSIONS = (1_000, 4_000, 16_000, 64_000)
RANKS, BATCHES, LENGTHS = (4, 16, 64, 256), (1, 2, 4, 8), (64, 128, 256, 512)


def step_seconds(rank: int = 16, batch: int = 4, length: int = 64) -> float:
    """Return the median seconds of the course's LoRA step on rows of one length."""
    import torch

    from labs_lib import data, hardware
    from labs_lib.quiet import quiet_libraries
    from labs_lib.training.engine.building import build_trainer

    steps = REPEATS + 1
    rows = [data.Row("a", "b")] * (steps * batch)
    recipe = recipe_of("lora", steps).model_copy(
        update={"rank": rank, "alpha": 2 * rank, "batch_size": batch, "max_length": 1024}
    )
    machine = hardware.detect()
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        built = build_trainer(recipe, rows, (), machine, machine.precision, Path(folder))
        trainer = built[2]
        trainer.measure_no_step()
        ids = torch.randint(1000, 40_000, (batch, length), generator=torch.Generator())
        labels = ids.clone()
        labels[:, : length // 2] = -100  # half of a row is its prompt
        columns = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        trainer.data_collator = lambda _rows: dict(columns)
        trainer.train()
    history = [line["step_seconds"] for line in trainer.state.log_history if "loss" in line]
    return statistics.median(history[1:])


def forecast_seconds(layers: int) -> float:
    """Return the median seconds to trace a Llama-2 of this many layers, QLoRA, in shapes alone."""
    from labs_lib.memory import request_of, trace
    from labs_lib.memory.architecture import config_of

    with tempfile.TemporaryDirectory() as folder:
        config = config_of("llama-2-7b")
        config.num_hidden_layers = layers
        config.save_pretrained(folder)
        request = request_of(folder, method="qlora")
        return median_of(lambda: trace(request))


def grading_seconds(submissions: int) -> float:
    """Return the median seconds to grade this many answers to one question."""
    from labs_lib.assessment.banks import load_banks
    from labs_lib.assessment.grading import grade
    from labs_lib.assessment.outcomes import Response

    questions = [question for bank in load_banks().values() for question in bank.questions]
    question = next(question for question in questions if question.kind == "single")
    responses = [Response(question.id, "abcd"[number % 4]) for number in range(submissions)]
    return median_of(lambda: [grade(question, response) for response in responses])


def median_of(action: Callable[[], Any]) -> float:
    """Return the median seconds of an action, after one to warm up."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of the least-squares line through the points' logarithms."""
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(duration) for duration in seconds]
    ).slope


def measured() -> dict[str, dict[str, Any]]:
    """Return sizes, seconds and exponent by what grows."""
    work: dict[str, tuple[tuple[int, ...], Callable[[int], float]]] = {
        "step by rank": (RANKS, lambda rank: step_seconds(rank=rank)),
        "step by batch (rows)": (BATCHES, lambda batch: step_seconds(batch=batch)),
        "step by length (tokens)": (LENGTHS, lambda length: step_seconds(length=length)),
        "forecast by depth (layers)": (LAYERS, forecast_seconds),
        "grading by submissions": (SUBMISSIONS, grading_seconds),
    }
    series = {}
    for name, (sizes, seconds_for) in work.items():
        seconds = [seconds_for(size) for size in sizes]
        series[name] = {
            "sizes": list(sizes),
            "seconds": seconds,
            "exponent": exponent(list(sizes), seconds),
        }
        points = ", ".join(f"{s}: {t:.3g} s" for s, t in zip(sizes, seconds, strict=True))
        print(f"{name:<28} exponent {series[name]['exponent']:+.2f}   {points}", flush=True)
    return series


def draw(series: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw each series, with the line through its first point that linear growth would follow."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, all_axes = plt.subplots(1, len(series), figsize=(14, 3), layout="constrained")
    for axes, (name, row) in zip(all_axes, series.items(), strict=True):
        sizes, seconds = row["sizes"], row["seconds"]
        axes.loglog(sizes, seconds, "o-", label="measured")
        linear = [seconds[0] * size / sizes[0] for size in sizes]
        axes.loglog(sizes, linear, ":", color="grey", label="linear")
        axes.set_title(f"{name}: exponent {row['exponent']:.2f}", fontsize=9)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=7)
        axes.minorticks_off()
    all_axes[0].set_ylabel("seconds")
    all_axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print a line for each series, draw and write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, help="save the plots as this PNG file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    series = measured()
    if arguments.plot:
        draw(series, arguments.plot)
    if arguments.json:
        write_record(arguments.json, series=series)


if __name__ == "__main__":
    main()
