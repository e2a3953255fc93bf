"""What a training step costs, traced: the real code with shapes only, at any depth.

Layers repeat, so every moment of the step (each layer's turn forward and backward, the loss,
the optimizer) grows linearly with the number of repetitions. Two traces of shallow models give
the line, and the line gives any depth: the cost of a forecast does not depend on the model's.
Where layers do not repeat, all of them are traced.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.memory.allocator import CachingAllocator, logits_of, replayed
from labs_lib.memory.architecture import check_length, config_of, positions_of, targets_of
from labs_lib.memory.borders import in_one_line
from labs_lib.memory.config_file import held_as
from labs_lib.memory.depth import Bytes, Group, Key, extrapolated
from labs_lib.memory.half_softmax import in_fp16
from labs_lib.memory.lower_bound import NotRunError, bounded_below
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import KINDS, Forecast, LiveGroup, Timeline, TimelinePoint, notes_on
from labs_lib.models.catalogue import find
from labs_lib.quiet import quiet
from labs_lib.step.adapters import DORA
from labs_lib.step.families import family_of

if TYPE_CHECKING:
    from labs_lib.memory.building import Plan
    from labs_lib.memory.recorder import StepRecorder

# Tracing stands in for some of torch's functions meanwhile, in all threads at once.
_ONE_AT_A_TIME = threading.RLock()


def trace(model: str | MemoryRequest, *, whole: bool = False, **fields: Any) -> Forecast:
    """Forecast by running the step's real code on fake tensors.

    `fields` are those of `MemoryRequest`. `whole=True` traces every layer in place of two shallow
    models: the same result, slower, with a `timeline` and, on CUDA, the `reserved_bytes` of torch's
    allocator. Raises `LabError` for a bad request.

    Known error: what torch's allocator adds is not counted (blocks rounded to 512 bytes,
    fragmentation, the CUDA context, cuBLAS' workspace: together some 0.3 to 1 GB on a GPU), nor
    buffers inside a kernel.
    """
    request = request_of(model, **fields)
    with one_trace_at_a_time():
        return _traced(request, whole)


@contextlib.contextmanager
def one_trace_at_a_time() -> Generator[None, None, None]:
    """Let no other thread trace meanwhile, and keep the libraries quiet."""
    with _ONE_AT_A_TIME, quiet():
        yield


def settled(request: MemoryRequest) -> tuple[Any, MemoryRequest, tuple[str, ...]]:
    """Return the configuration, the request as its base is stored, and remarks on what changed.

    Raises `LabError` for a step that cannot be traced, whatever the model's code.
    """
    config = config_of(request.model, request)
    request, remarks = _as_stored(config, request)
    check_length(positions_of(config), request)
    quantizes = request.quantizes and family_of(config.model_type).quantizable
    if request.adapter is DORA and quantizes:
        raise LabError(
            "dora: PEFT measures the norm of the de-quantized weight when it wraps a 4-bit layer, "
            "which shapes alone do not have; the formula (without --trace) forecasts it"
        )
    return config, request, remarks


def shot_of(request: MemoryRequest) -> tuple[dict[str, Any], MemoryRequest]:
    """Return a trace in plain numbers, as `snapshot` gives it, and the request filled in.

    Errors as `trace`.
    """
    with one_trace_at_a_time():
        config, plan, _ = planned(request)
        return _of_plan(config, plan), plan.request


def planned(request: MemoryRequest) -> tuple[Any, Plan, tuple[str, ...]]:
    """Return the configuration, how it is traced, and what a reader should know of that."""
    from labs_lib.memory.building import plan_of

    config, request, remarks = settled(request)
    return config, plan_of(config, with_targets(request)), remarks


def _traced(request: MemoryRequest, whole: bool) -> Forecast:
    config, plan, remarks = planned(request)
    with bounded_below(config, plan.request):
        shot = snapshot(config, plan.request) if whole else _of_plan(config, plan)
    return _forecast(plan, shot, config.model_type, remarks, shot["timeline"] if whole else None)


def _of_plan(config: Any, plan: Plan) -> dict[str, Any]:
    """Trace a model of any depth, as `snapshot` does; where its layers repeat, two shallow ones."""
    if plan.pattern is not None:
        low, high = (snapshot(config, plan.request, range(depth)) for depth in plan.pattern.shallow)
        deep = extrapolated(low, high, plan.pattern)
        if deep is not None:
            return deep
    return snapshot(config, plan.request)


def reservation(
    request: MemoryRequest, *, keeps_logits: bool = False, half: bool = False
) -> CachingAllocator:
    """Return torch's allocator after some of the request's steps on CUDA, every layer traced.

    With `keeps_logits` the training loop holds on to the model's output in the backward pass;
    `half` says that the 16 bits are fp16's. Errors as `trace`.
    """
    with one_trace_at_a_time():
        config = config_of(request.model, request)
        recorder = snapshot(config, with_targets(request))["recorder"]
    vocabulary = config.get_text_config().vocab_size
    if half:
        recorder = in_fp16(recorder)
    return replayed(recorder, logits_of(recorder, vocabulary) if keeps_logits else ())


def _as_stored(config: Any, request: MemoryRequest) -> tuple[MemoryRequest, tuple[str, ...]]:
    """Return the request with a stored base's own quantization, and what that changed."""
    held = held_as(config.to_dict()) if request.quantizes else {}
    stored = request.but(**held) if held else request
    if stored == request:
        return request, ()
    twice = " with double quantization" if stored.double_quant else " without double quantization"
    how = stored.quantization + (twice if stored.base.bits == 4 else "")
    return stored, (f"The base is stored in {how}, and counted so.",)


def timeline(model: str | MemoryRequest, **fields: Any) -> Timeline:
    """Trace every layer and return the live bytes of each kind after each operation."""
    traced = trace(model, whole=True, **fields).timeline
    assert traced is not None
    return traced


def with_targets(request: MemoryRequest) -> MemoryRequest:
    """Return a request for a catalogue model with the names that PEFT matches filled in.

    A mixture's experts are known from the model itself (`targets_on`).
    """
    shapes = find(request.model)
    if request.trains_all or shapes is None or shapes.family.experts:
        return request
    return request.but(targets=targets_of(shapes, request))


def snapshot(
    config: Any, request: MemoryRequest, kept: Sequence[int] | None = None
) -> dict[str, Any]:
    """Trace one model, of its main stack the layers in `kept`, in plain numbers.

    Returns its peaks by moment, sizes and counts, and of each trained tensor its shape and whether
    the backward pass reached it.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    from labs_lib.memory import building, fakes, optimizers, placing, step, tensors
    from labs_lib.memory.recorder import StepRecorder
    from labs_lib.memory.stacks import main_stack
    from labs_lib.memory.units import units_of

    with quiet():
        model = building.meta_model(config, request, kept)
        # Counted here, where a 4-bit matrix still has its own shape.
        shapes = [tuple(p.shape) for p in model.parameters() if p.requires_grad]
        trainable = sum(math.prod(shape) for shape in shapes)
        total = sum(p.numel() for p in model.parameters())
        running = _in_one_line(f"trace: {config.model_type} cannot be run on shapes", model)
        with running, FakeTensorMode(), fakes.steps_without_values(request):
            placing.materialize(model)
            optimizer = optimizers.optimizer_of(model, request)
            optimizers.create_states(model, optimizer)
            recorder = StepRecorder(on_cuda=request.device == "cuda")
            inputs = building.inputs_of(model, request)
            trained = [p for p in model.parameters() if p.requires_grad]
            reached: set[int] = set()
            step.on_gradients(trained, lambda parameter: reached.add(id(parameter)))
            with recorder:
                adopt(recorder, model, optimizer, request)
                recorder.adopt(inputs.values(), "activations")
                step.run_step(model, optimizer, request, inputs, recorder)
            recorder.sort_ends()
            sizes = {
                "optimizer": tensors.storage_bytes(tensors.states_of(optimizer)),
                "gradients": sum(
                    p.numel() * p.element_size() for p in model.parameters() if p.requires_grad
                ),
            }
            units = units_of(model)
    return summarize(recorder) | {
        "layers": len(main_stack(model).layers),
        "idle": step.idle_stacks(model, recorder),
        "sizes": sizes,
        "recorder": recorder,
        "units": units,
        "trained": [(shape, id(p) in reached) for shape, p in zip(shapes, trained, strict=True)],
        "trainable": trainable,
        "total": total,
    }


@contextlib.contextmanager
def _in_one_line(doing: str, model: Any) -> Generator[None, None, None]:
    try:
        with in_one_line(doing, model):
            yield
    except LabError as error:
        raise NotRunError(str(error)) from error


def adopt(recorder: StepRecorder, model: Any, optimizer: Any, request: MemoryRequest) -> None:
    """Count what is there before the step: weights, adapter, optimizer states."""
    from labs_lib.memory.optimizers import states_on_device
    from labs_lib.memory.placing import weights_of

    base, adapter = weights_of(model)
    recorder.mark("load", "model", "0")
    recorder.adopt(base, "weights")
    recorder.adopt(adapter, "adapter")
    recorder.adopt(states_on_device(optimizer, request), "optimizer")


def summarize(recorder: StepRecorder) -> dict[str, Any]:
    """Turn the recorder's events into peaks by moment, moments' ends, and a timeline.

    What was made in the forward pass and is alive when it ends is an activation; what a
    checkpointed layer makes again and still holds when it has run is one too; other storages
    that no label names are temporary.
    """
    kinds = kinds_of_allocations(recorder)
    live: Bytes = dict.fromkeys(KINDS, 0)
    peaks: dict[Key, dict[str, Any]] = {}
    ends: dict[Key, Bytes] = {}
    points: list[TimelinePoint] = []
    alive: set[int] = set()
    moment: Key = ("load", "model", "0")
    for what, index in recorder.events:
        if what == 0:
            ends[moment] = dict(live)
            moment = recorder.moments[index]
            sign, size, kind = 0, 0, KINDS[0]
        elif what == 2:
            continue
        else:
            sign, size, kind = what, recorder.allocations[index].size_bytes, kinds[index]
        live[kind] += sign * size
        if sign > 0:
            alive.add(index)
        elif sign < 0:
            alive.discard(index)
        total = sum(live.values())
        points.append(TimelinePoint(moment[0], moment[1], dict(live)))
        if moment not in peaks or total > peaks[moment]["total"]:
            peaks[moment] = {"total": total, "kinds": dict(live), "alive": frozenset(alive)}
    ends[moment] = dict(live)
    top = max(peaks.values(), key=lambda peak: peak["total"])
    return {
        "peaks": {
            key: {"total": peak["total"], "kinds": peak["kinds"]} for key, peak in peaks.items()
        },
        "groups": {key: _groups(recorder, kinds, peak["alive"]) for key, peak in peaks.items()},
        "ends": ends,
        "timeline": Timeline(
            tuple(points), _live_groups(_groups(recorder, kinds, top["alive"])), top["total"]
        ),
    }


def kinds_of_allocations(recorder: StepRecorder) -> list[str]:
    """Return the kind of each allocation; see `summarize`."""
    freed = [len(recorder.events)] * len(recorder.allocations)
    made = [0] * len(recorder.allocations)
    marks: list[tuple[int, str]] = []  # (event, "saved"): when what is alive is an activation
    for event, (what, index) in enumerate(recorder.events):
        if what == 1:
            made[index] = event
        elif what == -1:
            freed[index] = event
        elif what == 2 or (what == 0 and recorder.moments[index][:2] == ("backward", "head")):
            marks.append((event, "saved"))
    kinds: list[str] = []
    position = 0
    for index, allocation in enumerate(recorder.allocations):
        kind = recorder.kinds.get(index)
        if kind is None:
            while position < len(marks) and marks[position][0] < made[index]:
                position += 1
            phase = recorder.moments[allocation.moment][0]
            again = phase == "backward" and allocation.module
            saved = position < len(marks) and freed[index] > marks[position][0]
            kind = "activations" if saved and (phase == "forward" or again) else "temporary"
        kinds.append(kind)
    return kinds


def _groups(
    recorder: StepRecorder, kinds: list[str], alive: set[int]
) -> dict[Group, tuple[int, int]]:
    groups: dict[Group, list[int]] = defaultdict(lambda: [0, 0])
    for index in alive:
        allocation = recorder.allocations[index]
        place = re.sub(r"\.\d+\.", ".*.", allocation.module + ".").rstrip(".")
        place = re.sub(r"\.\d+$", ".*", place).removeprefix("base_model.model.")
        key: Group = (place, allocation.operation, allocation.shape, allocation.dtype, kinds[index])
        groups[key][0] += 1
        groups[key][1] += allocation.size_bytes
    return {key: (count, size) for key, (count, size) in groups.items()}


def _forecast(
    plan: Plan,
    shot: dict[str, Any],
    kind: str,
    remarks: tuple[str, ...],
    timeline: Timeline | None = None,
) -> Forecast:
    request = plan.request
    reserved = None
    if request.device == "cuda" and "recorder" in shot:
        reserved = replayed(shot["recorder"]).reserved_bytes
    key, peak = max(shot["peaks"].items(), key=lambda item: item[1]["total"])
    ends = shot["ends"]
    loaded = ends[("load", "model", "0")]
    micro = max(key[2] for key in ends)
    forward = ends[("forward", "loss", micro)]
    return Forecast(
        request=request,
        source="trace",
        weights_bytes=loaded["weights"],
        adapter_bytes=loaded["adapter"],
        gradients_bytes=shot["sizes"]["gradients"],
        optimizer_bytes=shot["sizes"]["optimizer"],
        activations_bytes=forward["activations"],
        peak_bytes=peak["total"],
        trainable_parameters=shot["trainable"],
        total_parameters=shot["total"],
        at_peak=peak["kinds"],
        peak_moment=moment_name(key),
        moments={
            "after load": loaded,
            "after forward": forward,
            "at the peak": peak["kinds"],
            "after the step": ends[("after", "step", "0")],
        },
        alive=_live_groups(shot["groups"][key]),
        notes=(*notes_on(request, kind), *remarks, *plan.notes, *notes_on_idle(shot["idle"])),
        timeline=timeline,
        reserved_bytes=reserved,
    )


def notes_on_idle(stacks: tuple[str, ...]) -> tuple[str, ...]:
    """Say that a batch of text leaves some stacks idle: a training on images costs more."""
    if not stacks:
        return ()
    return (
        f"The batch is text alone and runs past {', '.join(stacks)}: the weights there are "
        "counted, the activations of a batch with images or sound are not.",
    )


def _live_groups(groups: dict[Group, tuple[int, int]]) -> tuple[LiveGroup, ...]:
    rows = [
        LiveGroup(module, operation, shape, dtype, kind, count, size)
        for (module, operation, shape, dtype, kind), (count, size) in groups.items()
        if size > 0
    ]
    return tuple(sorted(rows, key=lambda row: (-row.size_bytes, row)))


def moment_name(key: Key) -> str:
    """Return a moment of the step in words."""
    phase, where, _ = key
    return {
        ("backward", "head"): "backward of the loss and the output head",
        ("forward", "head"): "forward of the output head and the loss",
        ("step", "optimizer"): "the optimizer's step",
        ("backward", "embedding"): "backward of the embedding",
    }.get((phase, where), f"{phase} of the {where}" if "layer" in where else f"{phase}, {where}")
