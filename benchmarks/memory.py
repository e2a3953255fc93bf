"""What we claim about the memory forecast: its speed, and its error beside other tools'.

    python benchmarks/memory.py [--json results.json]

1. A trace of a 70B model takes the time of a 7B one, and both take under a second or so.
2. A closed-form forecast takes under a millisecond.
3. Side by side with FitCheck (PyPI `fitcheck-llm`, where it is installed) and with `accelerate
   estimate-memory`, by their own functions on the same rows: errors against every published peak.

Takes about 2 minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.memory import MemoryRequest, forecast, report, request_of, trace
from labs_lib.memory.architecture import architecture, config_of, targets_of
from labs_lib.step.adapters import LORA
from labs_lib.step.families import family_of

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


def fitcheck_estimate(request: MemoryRequest) -> tuple[int, int] | None:
    """Return (tensors, all that it expects in use) by FitCheck, in bytes.

    None where it is not installed, or refuses what is asked: an architecture without a gated MLP,
    targets that it has no name for.
    """
    try:
        from fitcheck.config_parser import ModelConfig  # pyright: ignore[reportMissingImports]
        from fitcheck.estimator import (  # pyright: ignore[reportMissingImports]
            TrainingConfig,
            estimate,
        )
        from fitcheck.gpu_db import get_gpu  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    shapes = architecture(request.model)
    if not family_of(shapes.family.model_type).gated or request.adapter not in (None, LORA):
        return None
    config: Any = ModelConfig(
        name=request.model,
        num_params=shapes.parameters,
        hidden_size=shapes.hidden_size,
        num_layers=shapes.layers,
        num_attention_heads=shapes.heads,
        num_kv_heads=shapes.key_value_heads,
        intermediate_size=shapes.intermediate_size,
        vocab_size=shapes.vocab_size,
        head_dim=shapes.head_size,
        tie_word_embeddings=shapes.tie_word_embeddings,
    )
    training: Any = TrainingConfig(
        precision="bf16" if not request.prepare_kbit else "fp16",
        quantization="nf4" if request.quantizes else "none",
        double_quant=request.quantizes and request.double_quant,
        batch_size=request.batch,
        seq_len=request.seq_len,
        lora_rank=None if request.trains_all else request.rank,
        lora_targets=[each.name for each in targets_by_name(request)],
        grad_checkpoint=request.checkpointing,
        flash_attn=request.attention == "sdpa",
    )
    try:
        found: Any = estimate(config, training, get_gpu("t4"))
    except ValueError:
        return None
    mib = 2**20
    return round((found.total_mib - found.overhead_mib) * mib), round(found.total_mib * mib)


def targets_by_name(request: MemoryRequest) -> list[Any]:
    """Return the linear maps that the request's adapter is on."""
    shapes = architecture(request.model)
    names = () if request.trains_all else targets_of(shapes, request)
    return [each for each in shapes.linears if each.name in names]


def side_by_side() -> list[dict[str, Any]]:
    """Return each tool's figures for each published single-GPU row, with their errors."""
    estimates: dict[str, dict[str, int]] = {}
    rows: list[dict[str, Any]] = []
    for compared in report():
        row = compared.row
        model = row.request.model
        estimate = estimates.setdefault(model, accelerate_estimates(model))
        fitcheck = fitcheck_estimate(row.request)
        start = time.perf_counter()
        forecast(row.request)
        ours_seconds = time.perf_counter() - start
        rows.append(
            {
                "model": model,
                "method": row.request.method,
                "tokens": f"{row.request.batch} x {row.request.seq_len}",
                "role": row.role,
                "counts": row.counts,
                "measured_bytes": row.measured_bytes,
                "measured_reserved_bytes": row.reserved_bytes,
                "forecast_bytes": compared.forecast_bytes,
                "forecast_seconds": ours_seconds,
                "forecast_error": compared.difference,
                "explained_error": compared.explained_difference,
                "fitcheck_bytes": fitcheck[0] if fitcheck else None,
                "fitcheck_error": fitcheck[0] / row.measured_bytes - 1 if fitcheck else None,
                "accelerate_weights_bytes": estimate["weights"],
                "accelerate_training_bytes": estimate["training"],
                "accelerate_error": estimate["training"] / row.measured_bytes - 1,
                "comparable": row.comparable,
                "source": row.source,
            }
        )
    return rows


TOOLS = {
    "forecast_error": "ours, a plain PEFT step",
    "explained_error": "ours, with the row's mechanisms",
    "fitcheck_error": "FitCheck, its tensors",
    "accelerate_error": "accelerate estimate-memory",
}


def summary(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, int, float, float]]:
    """Return (source, role, tool, rows that it answers, mean and worst absolute error)."""
    found: list[tuple[str, str, str, int, float, float]] = []
    groups = dict.fromkeys((row["source"].split(",")[0].split(" ")[0], row["role"]) for row in rows)
    for source, role in groups:
        ours = [row for row in rows if row["source"].startswith(source) and row["role"] == role]
        for field, tool in TOOLS.items():
            errors = [abs(row[field]) for row in ours if row[field] is not None]
            if errors:
                mean = statistics.mean(errors)
                found.append((source, role, tool, len(errors), mean, max(errors)))
    return found


CANNOT = """What each cannot say
- ours: what a kernel takes inside, what NCCL and CUDA take, frameworks other than transformers.
- FitCheck: models without a gated MLP or with experts, most of our optimizers, logits that are not
  kept, several GPUs; its figures hold for the harness that they were fitted to.
- accelerate: LoRA, 4-bit training, batch, length, checkpointing, optimizer, where the peak is."""


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
    print(f"\n{'source':12}{'role':13}{'tool':34}{'rows':>5}{'mean':>8}{'worst':>8}")
    for source, role, tool, count, mean, worst in summary(rows):
        print(f"{source:12}{role:13}{tool:34}{count:5}{mean:8.1%}{worst:8.1%}")
    print(CANNOT)
    if arguments.json:
        from labs_lib.files import write_json

        write_json(arguments.json, {"timings": times, "side_by_side": rows})


if __name__ == "__main__":
    main()
