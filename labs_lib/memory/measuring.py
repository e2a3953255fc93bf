"""What a training step costs, measured: the step of the forecast on real tensors.

The weights are random: their bytes are the same. On CUDA the caching allocator's peaks are read,
on a CPU the bytes of live tensors are followed, operation by operation; there torch's profiler
can add up every allocation that its allocator reports, which checks the counting from outside.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory.allocator import STEPS
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
    None where it was not asked. `reserved_bytes` is what torch took of a GPU for the step, and
    `step_seconds` the median time of a step there; None on a CPU, where the counting takes longer
    than the step.
    """

    request: MemoryRequest
    device: str
    peak_bytes: int
    allocator_bytes: int | None
    forecast: Forecast
    reserved_bytes: int | None = None
    step_seconds: float | None = None

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
            "measured_reserved_bytes": self.reserved_bytes,
            "measured_step_seconds": self.step_seconds,
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
    on_cuda: _OnCuda | None = None
    with quiet(), running:
        net = building.meta_model(config, request)
        if device == "cuda":
            on_cuda = _OnCuda()
        placing.materialize(net, device=device)
        optimizer = optimizers.optimizer_of(net, request)
        optimizers.create_states(net, optimizer)
        inputs = building.inputs_of(net, request, device)
        if on_cuda:
            on_cuda.watch(partial(step.run_step, net, optimizer, request, inputs))
            peak = allocator = on_cuda.peak_bytes
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
    if on_cuda is None:
        return Measurement(request, device, peak, allocator, forecast)
    reserved, seconds = on_cuda.reserved_bytes, on_cuda.step_seconds
    return Measurement(request, device, peak, allocator, forecast, reserved, seconds)


def _refuse_what_does_not_fit(forecast: Forecast, device: str) -> None:
    import psutil
    import torch

    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    if forecast.peak_bytes > _SHARE_OF_FREE * free:
        raise LabError(
            f"measure: the step needs {format_bytes(forecast.peak_bytes)} and this machine has "
            f"{format_bytes(free)} free: choose a smaller model, batch or seq_len"
        )


class _OnCuda:
    """What torch's allocator takes of the GPU from here on, for the model and a few steps."""

    def __init__(self) -> None:
        import torch

        # cuBLAS takes a workspace for each thread at its first product, and keeps it; a forecast
        # is of the step alone.
        small = torch.ones(16, 16, device="cuda", requires_grad=True)
        (small @ small).sum().backward()  # pyright: ignore[reportUnknownMemberType]
        del small
        gc.collect()
        torch.cuda.empty_cache()
        self._allocated = torch.cuda.memory_allocated()
        self._reserved = torch.cuda.memory_reserved()
        torch.cuda.reset_peak_memory_stats()
        self.peak_bytes = self.reserved_bytes = 0
        self.step_seconds = 0.0

    def watch(self, run: Callable[[], None]) -> None:
        """Run the step as often as it takes to reserve the most."""
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()  # of the tensors: what loading took is not the step's
        seconds: list[float] = []
        for _ in range(STEPS):
            started = time.perf_counter()
            run()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        self.peak_bytes = torch.cuda.max_memory_allocated() - self._allocated
        self.reserved_bytes = torch.cuda.max_memory_reserved() - self._reserved
        self.step_seconds = statistics.median(seconds)


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
