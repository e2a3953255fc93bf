"""What a run cost, from what was measured at each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from labs_lib.hardware import Hardware
from labs_lib.training.engine.measure import process_peak_bytes
from labs_lib.training.run import Cost

PEAK_KINDS = {"cuda": "CUDA allocator", "mps": "Metal driver", "cpu": "live tensors"}


def accelerator_peak_bytes(machine: Hardware) -> int:
    """Return the most bytes that the accelerator's allocator held; 0 on a CPU."""
    if machine.device == "cuda":
        return torch.cuda.max_memory_allocated()
    return torch.mps.driver_allocated_memory() if machine.device == "mps" else 0


def cost_of(
    history: list[dict[str, Any]],
    output: Path,
    machine: Hardware,
    accelerator_peak_bytes: int,
) -> Cost:
    """Return what a run cost, from its steps' log lines and the files in `output`."""
    seconds = [line["step_seconds"] for line in history]
    tokens = int(history[-1]["num_tokens"])
    peak, kind = accelerator_peak_bytes, PEAK_KINDS[machine.device]
    if machine.device == "cpu":
        peak = max((line.get("peak_bytes", 0) for line in history), default=0)
    parts = dict(next((line["memory"] for line in history if "memory" in line), {}))
    paged = parts.pop("paged_bytes", 0)  # among the optimizer's, and not in the peak
    return Cost(
        train_seconds=sum(seconds),
        seconds_per_step=sorted(seconds)[len(seconds) // 2],
        tokens=tokens,
        tokens_per_second=tokens / sum(seconds),
        peak_bytes=peak,
        peak_kind=kind,
        process_peak_bytes=process_peak_bytes(),
        memory=parts | {"activations_bytes": max(0, peak + paged - sum(parts.values()))},
        adapter_bytes=sum(file.stat().st_size for file in output.glob("*.safetensors")),
    )
