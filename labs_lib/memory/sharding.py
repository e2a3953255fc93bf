"""What a step takes of each of several GPUs, from the same trace that forecasts it on one.

Under DDP each device has all of the model, and beside the gradients the buckets in which they are
added up. Under FSDP2 (ZeRO-3) each has 1/n of every parameter, gradient and state; a layer is
gathered before it is used, and so is the next one. Rules, from torch 2.13's
`torch.distributed.fsdp._fully_shard`:

- the root (embedding, head, last norm) stays gathered from the forward to the backward pass;
- going forward, a layer's gathered buffer stays until the next layer has been copied out of its
  own; going backward, the next layer is gathered while one runs;
- a layer's gradients are whole until its backward pass ends, then they are copied into a buffer,
  of which each device keeps its sum's 1/n; the buffer lives until the next layer's comes;
- what is no parameter (absmax and code books of a 4-bit base, buffers) is not cut up;
- with offload, shards, gradients and states are in the computer's memory, and what is gathered
  passes through a copy of the own shard.

The batch is that of one device. What NCCL takes for itself is not counted.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, choice_error
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import format_bytes

if TYPE_CHECKING:
    from labs_lib.memory.units import Units

STRATEGIES = ("fsdp", "ddp")
MOST_GPUS = 4096


@dataclass(frozen=True)
class Sharded:
    """Bytes of one step on each of `gpus` devices.

    `at_peak` maps kinds to bytes and adds up to `peak_bytes`: the kinds of a forecast, `gathered`
    (parameters of other devices, for a while) and `buffers` (in which gradients are added up).
    `held_bytes` is what a device holds between two steps, `host_bytes` what all of them together
    keep in the computer's memory under offload, `sent_bytes` what each sends in a step.
    """

    request: MemoryRequest
    gpus: int
    strategy: str
    offload: bool
    held_bytes: int
    peak_bytes: int
    peak_moment: str
    at_peak: Mapping[str, int]
    host_bytes: int
    sent_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**vars(self), "request": self.request.model_dump(), "at_peak": dict(self.at_peak)}

    def __str__(self) -> str:
        request, how = self.request, self.strategy.upper() + self.offload * " with offload"
        return (
            f"{request.model}, {request.method}, {request.batch} x {request.seq_len} tokens on "
            f"each of {self.gpus} GPUs, {how}: peak {format_bytes(self.peak_bytes)}"
        )


def shard(
    model: str | MemoryRequest,
    *,
    gpus: int,
    strategy: str = "fsdp",
    offload: bool = False,
    **fields: Any,
) -> Sharded:
    """Forecast one step on each of several GPUs; `fields` are those of `MemoryRequest`.

    Raises `LabError` for a bad request, as `trace` does, and for a number of GPUs, a strategy or an
    offload that does not exist.
    """
    request = request_of(model, **fields)
    if not 1 <= gpus <= MOST_GPUS:
        raise LabError(f"gpus: {gpus}: give a whole number from 1 to {MOST_GPUS:,}")
    if strategy not in STRATEGIES:
        raise choice_error("sharding", strategy, STRATEGIES)
    if offload and strategy == "ddp":
        raise LabError("offload: DDP has all of the model on each GPU; sharding fsdp has it")
    shot, request = _shot(request.model_dump_json())
    if strategy == "fsdp":
        rules = _Fsdp(shot, gpus, offload, request.accumulation)
    else:
        rules = _Ddp(shot, gpus)
    moments = {key: rules.at(key, peak["kinds"]) for key, peak in shot["peaks"].items()}
    key = max(moments, key=lambda each: sum(moments[each].values()))
    return Sharded(
        request,
        gpus,
        strategy,
        offload,
        held_bytes=sum(moments[("load", "model", "0")].values()),
        peak_bytes=sum(moments[key].values()),
        peak_moment=_named(key),
        at_peak=moments[key],
        host_bytes=rules.host_bytes,
        sent_bytes=rules.sent_bytes,
    )


@functools.lru_cache(maxsize=64)
def _shot(asked: str) -> tuple[dict[str, Any], MemoryRequest]:
    from labs_lib.memory.tracing import shot_of

    return shot_of(MemoryRequest.model_validate_json(asked))


def _named(key: tuple[str, ...]) -> str:
    from labs_lib.memory.tracing import moment_name

    return moment_name(key)


class _Ddp:
    """Each device has everything; the buckets are as large as the gradients."""

    host_bytes = 0

    def __init__(self, shot: dict[str, Any], gpus: int) -> None:
        self.buckets = shot["sizes"]["gradients"] if gpus > 1 else 0
        # A ring of n devices passes n − 1 of n parts on, twice.
        self.sent_bytes = 2 * (gpus - 1) * self.buckets // gpus

    def at(self, _key: tuple[str, ...], kinds: Mapping[str, int]) -> dict[str, int]:
        return {**kinds, "gathered": 0, "buffers": self.buckets}


class _Fsdp:
    def __init__(self, shot: dict[str, Any], gpus: int, offload: bool, accumulation: int) -> None:
        units: Units = shot["units"]
        self.root, self.layer, self.all = units.root, units.largest, units.root + units.layers
        self.layers_trained, self.depth = units.layers.trained, shot["layers"]
        self.gpus, self.offload = gpus, offload
        self.on_gpu = 0 if offload else 1
        trained, states = self.all.trained, shot["sizes"]["optimizer"]
        held = self.all.parameters + trained + states
        self.host_bytes = held if offload else 0
        gathered = 2 * units.layers.parameters + self.root.parameters
        # Each micro-batch gathers the parameters; the gradients of all of them are added up once.
        self.sent_bytes = (gpus - 1) * (accumulation * gathered + trained) // gpus

    def _part(self, size_bytes: int) -> int:
        """Return a device's share of what is cut up, rounded up."""
        return -(-size_bytes // self.gpus)

    def at(self, key: tuple[str, ...], kinds: Mapping[str, int]) -> dict[str, int]:
        """Return a moment's bytes on one device, from those of one device that has it all."""
        phase, where, _ = key
        adapter = self.all.trained if kinds["adapter"] else 0
        base = self.all.parameters - adapter
        stepping = phase == "step"
        return {
            "weights": self.on_gpu * self._part(base) + self.all.kept,
            "adapter": self.on_gpu * self._part(adapter),
            "optimizer": self.on_gpu * self._part(kinds["optimizer"]),
            "gradients": self._gradients(phase, where, kinds["gradients"]),
            "activations": kinds["activations"],
            "temporary": self.on_gpu * self._part(kinds["temporary"])
            if stepping
            else kinds["temporary"],
            "gathered": self._gathered(phase, where),
            "buffers": self._buffers(phase, where),
        }

    def _gathered(self, phase: str, where: str) -> int:
        if self.gpus == 1 or phase not in ("forward", "backward"):
            return 0
        # The first layer has none before it to gather; the last one's buffer outlasts it.
        more = 2 if "layer" in where else 1
        if phase == "backward" and where in ("layer 0", "embedding"):
            more = 1 if where == "layer 0" else 0
        own = self._part(self.layer.parameters) if self.offload else 0
        return self.root.parameters + more * self.layer.parameters + own

    def _gradients(self, phase: str, where: str, whole: int) -> int:
        """Return the gradients: those of the layers that are done are cut up."""
        if phase in ("load", "forward", "after") or not whole:
            return self.on_gpu * self._part(whole)  # carried over from the micro-batch before
        if phase == "step":
            return self.on_gpu * self._part(whole)
        done = self._done(where)
        return max(0, whole - done) + self.on_gpu * self._part(min(done, whole))

    def _done(self, where: str) -> int:
        """Return the bytes of all gradients of the layers behind this one, which came first."""
        if not where.startswith("layer"):
            return self.layers_trained if where == "embedding" else 0
        place = where.removeprefix("layer ")
        behind = -int(place[4:] or 0) if place.startswith("last") else self.depth - 1 - int(place)
        return self.layers_trained * behind // self.depth

    def _buffers(self, phase: str, where: str) -> int:
        """Return the buffer of the layer before, from which its shard has been taken."""
        if self.gpus == 1 or phase != "backward" or where == "head" or not self._done(where):
            return 0
        return self.layer.trained
