"""What we claim about the memory forecast: its speed, and its error beside other tools'.

    python benchmarks/memory.py [--json results.json]

1. A trace of a 70B model takes the time of a 7B one, and both take under a second or so.
2. A closed-form forecast takes under a millisecond.
3. Side by side with `accelerate estimate-memory` (its own functions, run on the catalogue's
   configurations): what each tells, and both errors against published peaks.

Takes about 2 minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.memory import MemoryRequest, forecast, published, request_of, trace
from labs_lib.memory.architecture import config_of

REPEATS = 5


def timings() -> list[dict[str, Any]]:
    """Return the median seconds of a trace and of a closed form, small model and large."""
    rows: list[dict[str, Any]] = []
    trace("llama-2-7b")  # imports and torch's caches
    for method in ("lora", "qlora", "full"):
        for model in ("llama-2-7b", "llama-2-70b"):
            request = request_of(model, method=method)
            traced = [seconds(trace, request) for _ in range(REPEATS)]
            formula = [seconds(forecast, request) for _ in range(200)]
            rows.append(
                {
                    "model": model,
                    "method": method,
                    "trace_seconds": statistics.median(traced),
                    "closed_form_seconds": statistics.median(formula),
                }
            )
    return rows


def seconds(run: Callable[..., Any], request: MemoryRequest) -> float:
    """Return how long one forecast takes."""
    start = time.perf_counter()
    run(request)
    return time.perf_counter() - start


def accelerate_estimates(model: str) -> dict[str, int]:
    """Return what `accelerate estimate-memory MODEL` prints for bf16 and int4, in bytes.

    "training" is its "training using Adam" at batch 1: the largest of its four figures. It has no
    notion of LoRA, batch, length, checkpointing or the optimizer.
    """
    import torch
    import transformers
    from accelerate.commands.estimate import estimate_training_usage
    from accelerate.utils import calculate_maximum_sizes

    with torch.device("meta"):
        empty = transformers.AutoModel.from_config(config_of(model), dtype=torch.float32)
    size, _ = calculate_maximum_sizes(empty)
    usage = estimate_training_usage(size, "bfloat16")
    return {"weights": size // 2, "int4 weights": size // 8, "training": max(usage.values())}


def side_by_side() -> list[dict[str, Any]]:
    """Return both tools' figures for each published single-GPU row, with their errors."""
    estimates: dict[str, dict[str, int]] = {}
    rows: list[dict[str, Any]] = []
    for row in published():
        model = row.request.model
        estimate = estimates.setdefault(model, accelerate_estimates(model))
        ours = forecast(row.request).peak_bytes
        rows.append(
            {
                "model": model,
                "method": row.request.method,
                "tokens": f"{row.request.batch} x {row.request.seq_len}",
                "measured_bytes": row.measured_bytes,
                "forecast_bytes": ours,
                "forecast_error": ours / row.measured_bytes - 1,
                "accelerate_weights_bytes": estimate["weights"],
                "accelerate_training_bytes": estimate["training"],
                "accelerate_error": estimate["training"] / row.measured_bytes - 1,
                "comparable": row.comparable,
                "source": row.source,
            }
        )
    return rows


def main() -> None:
    """Print the tables; write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    times, rows = timings(), side_by_side()
    print(f"{'model':14}{'method':8}{'trace s':>10}{'formula ms':>12}")
    for row in times:
        print(
            f"{row['model']:14}{row['method']:8}{row['trace_seconds']:10.2f}"
            f"{row['closed_form_seconds'] * 1e3:12.2f}"
        )
    print(
        f"\n{'GB (10^9 bytes)':15}{'method':7}{'tokens':>9}{'measured':>10}{'forecast':>10}"
        f"{'error':>8}{'accelerate':>12}{'error':>9}"
    )
    for row in rows:
        print(
            f"{row['model']:15}{row['method']:7}{row['tokens']:>9}"
            f"{row['measured_bytes'] / 1e9:10.2f}{row['forecast_bytes'] / 1e9:10.2f}"
            f"{row['forecast_error']:+8.1%}{row['accelerate_training_bytes'] / 1e9:12.2f}"
            f"{row['accelerate_error']:+9.0%}{'' if row['comparable'] else '  *'}"
        )
    print(
        "* the run differs by a mechanism named in labs_lib/memory/published.yaml\n"
        "accelerate estimate-memory tells weights by precision and full training with Adam in\n"
        "mixed precision at batch 1, without activations; LoRA, QLoRA, length, batch,\n"
        "checkpointing, optimizer and where the peak lies are not its subject."
    )
    if arguments.json:
        from labs_lib.files import write_json

        write_json(arguments.json, {"timings": times, "side_by_side": rows})


if __name__ == "__main__":
    main()
