"""The answer: bytes by kind, by moment and by module, and where they peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labs_lib.memory.request import MemoryRequest
from labs_lib.step.families import family_of
from labs_lib.step.optimizers import OPTIMIZERS

KINDS = ("weights", "adapter", "optimizer", "gradients", "activations", "temporary")
GIB = 2**30


class LiveGroup(NamedTuple):
    """Tensors alive at the peak that are alike: same module (layers as `*`), operation, shape."""

    module: str
    operation: str
    shape: tuple[int, ...]
    dtype: str
    kind: str
    copies: int
    size_bytes: int


class TimelinePoint(NamedTuple):
    """Live bytes of each kind after one operation of the step."""

    phase: str
    where: str
    live: dict[str, int]


@dataclass(frozen=True)
class Timeline:
    """One step, operation by operation, and what is alive at its peak."""

    points: tuple[TimelinePoint, ...]
    alive: tuple[LiveGroup, ...]
    peak_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What one fine-tuning step takes, in bytes.

    `weights_bytes` holds the base model with its buffers and 4-bit statistics;
    `optimizer_bytes` all states, paged ones too; `activations_bytes` what the forward pass
    leaves for the backward pass. Not all of these are alive at once: `at_peak` says how
    `peak_bytes` is made up, and its values add up to it. `total_parameters` counts the base and
    the adapter, as PEFT's `print_trainable_parameters` does. `reserved_bytes` is what torch's
    caching allocator takes of a GPU for these steps; None where not every layer was traced.
    """

    request: MemoryRequest
    source: str
    weights_bytes: int
    adapter_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    peak_bytes: int
    trainable_parameters: int
    total_parameters: int
    at_peak: Mapping[str, int]
    peak_moment: str
    moments: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    alive: tuple[LiveGroup, ...] = ()
    notes: tuple[str, ...] = ()
    timeline: Timeline | None = field(default=None, repr=False, compare=False)
    reserved_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the timeline is left out."""
        return {
            "request": self.request.model_dump(),
            "source": self.source,
            "weights_bytes": self.weights_bytes,
            "adapter_bytes": self.adapter_bytes,
            "gradients_bytes": self.gradients_bytes,
            "optimizer_bytes": self.optimizer_bytes,
            "activations_bytes": self.activations_bytes,
            "peak_bytes": self.peak_bytes,
            "trainable_parameters": self.trainable_parameters,
            "total_parameters": self.total_parameters,
            "at_peak": dict(self.at_peak),
            "peak_moment": self.peak_moment,
            "moments": {name: dict(live) for name, live in self.moments.items()},
            "alive": [row._asdict() for row in self.alive],
            "reserved_bytes": self.reserved_bytes,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        request = self.request
        return (
            f"{request.model}, {request.method}, {request.batch} x {request.seq_len} tokens: "
            f"peak {format_bytes(self.peak_bytes)} ({self.source})"
        )


def notes_on(request: MemoryRequest, model_type: str) -> tuple[str, ...]:
    """Return what a reader of the figures should know of this request, in sentences."""
    notes: list[str] = []
    if request.quantizes and not family_of(model_type).quantizable:
        notes.append(
            "transformers 5.23 replaces plain Linear layers only, and Falcon's are its own "
            "FalconLinear: load_in_4bit leaves this model in 16 bits."
        )
    if OPTIMIZERS[request.optimizer].pages(request.device):
        notes.append(
            "Paged states may leave the GPU when room is short and are not in the peak; tensors "
            "below 100,000 elements (most LoRA matrices) are never paged."
        )
    if request.dropout > 0:
        notes.append("Dropout masks are counted as a CPU keeps them; CUDA keeps one byte each.")
    return tuple(notes)


def format_bytes(count: float, unit: str = "GiB") -> str:
    """Return bytes in the named unit: "GiB" (2³⁰), "MiB" (2²⁰) or "GB" (10⁹), two decimals."""
    size = {"GiB": GIB, "MiB": 2**20, "GB": 10**9}[unit]
    return f"{count / size:,.2f} {unit}"
