"""What a training step costs, measured: the step of the forecast on real tensors.

The weights are random: their bytes are the same. On CUDA the caching allocator's peak is read,
on a CPU the bytes of live tensors are followed, operation by operation; there torch's profiler
can add up every allocation that its allocator reports, which checks the counting from outside.
"""

from __future__ import annotations

import contextlib
import gc
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory.architecture import config_of
from labs_lib.memory.borders import in_one_line
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast, format_bytes
from labs_lib.memory.tracing import adopt, summarize, trace
from labs_lib.quiet import quiet

# What a step may take of the memory that is free, so that the machine stays usable.
_SHARE_OF_FREE = 0.8


@dataclass(frozen=True)
class Measurement:
    """The measured peak of one step, in bytes, beside its forecast.

    `peak_bytes` is the caching allocator's on CUDA; on a CPU that of live tensors.
    `allocator_bytes` is what the allocator itself reports, buffers inside kernels included, or
    None where it was not asked.
    """

    request: MemoryRequest
    device: str
    peak_bytes: int
    allocator_bytes: int | None
    forecast: Forecast

    @property
    def difference(self) -> float:
        """Return (forecast − measured) / measured."""
        return self.forecast.peak_bytes / self.peak_bytes - 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "device": self.device,
            "measured_peak_bytes": self.peak_bytes,
            "measured_allocator_bytes": self.allocator_bytes,
            "forecast_peak_bytes": self.forecast.peak_bytes,
            "difference": self.difference,
        }


def measure(
    model: str | MemoryRequest, *, ask_allocator: bool = False, **fields: Any
) -> Measurement:
    """Run one real step of the request on this machine and hold the forecast against it.

    `ask_allocator` also adds up the CPU allocator's own reports, by torch's profiler.

    Raises `LabError` if the forecast does not fit into the memory that is free.
    """
    import torch

    from labs_lib.memory import building, optimizers, placing, step
    from labs_lib.memory.recorder import StepRecorder

    device = "cuda" if torch.cuda.is_available() else "cpu"
    forecast = trace(request_of(model, **fields).but(device=device))
    request = forecast.request
    config = config_of(request.model, request)
    _refuse_what_does_not_fit(forecast, device)
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # no types in torch
    running = in_one_line(f"measure: {config.model_type} cannot be run")
    with quiet(), running:
        net = building.meta_model(config, request)
        before = torch.cuda.memory_allocated() if device == "cuda" else 0
        placing.materialize(net, device=device)
        optimizer = optimizers.optimizer_of(net, request)
        optimizers.create_states(net, optimizer)
        inputs = building.inputs_of(net, request, device)
        if device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            step.run_step(net, optimizer, request, inputs)
            torch.cuda.synchronize()
            peak = allocator = torch.cuda.max_memory_allocated() - before
        else:
            recorder = StepRecorder()
            with recorder:
                adopt(recorder, net, optimizer, request)
                recorder.adopt(inputs.values(), "activations")
                loaded = sum(each.size_bytes for each in recorder.allocations)
                rise = _AllocatorRise() if ask_allocator else None
                with rise or contextlib.nullcontext():
                    step.run_step(net, optimizer, request, inputs, recorder)
            peak = max(each["total"] for each in summarize(recorder)["peaks"].values())
            allocator = loaded + rise.peak_bytes if rise else None
        del net, optimizer
    gc.collect()
    return Measurement(request, device, peak, allocator, forecast)


def _refuse_what_does_not_fit(forecast: Forecast, device: str) -> None:
    import psutil
    import torch

    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    if forecast.peak_bytes > _SHARE_OF_FREE * free:
        raise LabError(
            f"measure: the step needs {format_bytes(forecast.peak_bytes)} and this machine has "
            f"{format_bytes(free)} free: choose a smaller model, batch or seq_len"
        )


class _AllocatorRise:
    """How far the CPU allocator's live bytes rise inside the block, by its own reports."""

    def __enter__(self) -> _AllocatorRise:
        from torch.profiler import ProfilerActivity, profile

        gc.collect()
        self.peak_bytes = 0
        self._profile: Any = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        self._profile.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._profile.__exit__(*error)
        results: Any = self._profile.profiler.kineto_results
        reports = [event for event in results.events() if event.name() == "[memory]"]
        live = 0
        for event in sorted(reports, key=lambda event: event.start_ns()):
            live += event.nbytes()
            self.peak_bytes = max(self.peak_bytes, live)
