"""From a few traces to polynomials: the step of one configuration at any length, batch and rank.

Each trace runs the model's real code on a stack of few layers. The traces of one stack differ in
length, batch and rank alone, so they run the same operations, and each number of each shape that
changed says how it grows. Other stacks have one layer of a kind more, which gives the deep model;
their tensors are known from the first stack, so they are traced once. A configuration of two kinds
of layers takes five traces for an adapter at batch 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from labs_lib.memory.building import Plan, plan_of
from labs_lib.memory.lower_bound import bounded_below
from labs_lib.memory.polynomials import EXPONENTS, Curves, Moment, Polynomial, Trained
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.result import KINDS
from labs_lib.memory.tracing import (
    kinds_of_allocations,
    moment_name,
    notes_on_idle,
    one_trace_at_a_time,
    settled,
    snapshot,
    with_targets,
)

if TYPE_CHECKING:
    from labs_lib.memory.recorder import StepRecorder

_MOST_KINDS = 4
# What a trace settles of a request.
_SETTLED = ("targets", "attention", "quantization", "double_quant")
_MOST_DIFFERENCE = 0.01
_STEPPING = ("step", "optimizer")
_LONGEST, _MOST_ROWS, _MOST_RANK = 2**20, 4096, 4096

Array = Any
Key = tuple[str, ...]
TrainedLook = tuple[tuple[tuple[float, float], ...], bool]
"""A trained tensor's shape as lines of rank, and whether it gets a gradient."""


class NotAlikeError(Exception):
    """The traces did not run the same operations, or the layers are of too many kinds."""


@dataclass(frozen=True)
class Region:
    """Where one set of polynomials holds: a batch of one row, or more, and a span of lengths.

    `shortest` and `longest` are the lengths of the traces; `first` and `last` those of the span.
    """

    one_row: bool
    first: int
    last: int

    def points(self, ranked: bool) -> dict[str, dict[str, int]]:
        """Return the requests' settings by what changes in them: nothing, length, batch, rank."""
        last = min(self.last, self.first + 255)
        first = self.first + max(1, (last - self.first) // 2)
        if first >= last:
            raise NotAlikeError("there is one length alone to trace")
        base = {"seq_len": first, "batch": 1 if self.one_row else 2, "rank": 7}
        found = {"base": base, "length": {**base, "seq_len": last}}
        if not self.one_row:
            found["batch"] = {**base, "batch": 3}
        if ranked:
            found["rank"] = {**base, "rank": 11}
        return found


@dataclass
class _Stack:
    """What the traces of one stack say: live bytes as polynomials after each event, by kind."""

    kept: list[int]
    live: Array  # (events, kinds, terms)
    begins: list[tuple[int, Key]]  # the event that begins a moment
    trained: Counter[TrainedLook]
    itemsize: int
    base_parameters: int
    idle: tuple[str, ...]
    at_base: Array  # (terms,): the powers at the first trace
    traces: int
    spans: dict[Key, Array] = field(init=False)

    def __post_init__(self) -> None:
        ends = [event for event, _ in self.begins[1:]] + [len(self.live)]
        # A moment begins with what is alive then.
        self.spans = {
            self._renamed(key): self.live[begin:end]
            for (begin, key), end in zip(self.begins, ends, strict=True)
        }

    def _renamed(self, key: Key) -> Key:
        phase, where, micro = key
        if not where.startswith("layer "):
            return key
        return phase, f"layer {self.kept[int(where.removeprefix('layer '))]}", micro

    def peak(self, key: Key) -> Array:
        """Return the moment's highest point at the first trace: (1, kinds, terms)."""
        span = self.spans[key]
        return span[[int(np.argmax(span.sum(axis=1) @ self.at_base))]]


def curves_of(request: MemoryRequest, region: Region) -> Curves:
    """Return the polynomials of a request's step in the region; the request's sizes do not matter.

    Raises `NotAlikeError` where the traces do not line up, and `LabError` as `trace` does.
    """
    with one_trace_at_a_time():
        config, request, remarks = settled(request)
        plan = plan_of(config, with_targets(request))
        with bounded_below(config, plan.request):
            return _curves(config, plan, remarks, region)


def _curves(config: Any, plan: Plan, remarks: tuple[str, ...], region: Region) -> Curves:
    request = plan.request
    kinds = plan.kinds
    if kinds is None or len(set(kinds)) > _MOST_KINDS:
        raise NotAlikeError("its layers do not repeat")
    adapter = request.adapter
    points = region.points(adapter is not None and adapter.has_rank)
    settings = {
        "optimizer": "sgd",  # no states: `labs_lib.step.optimizers` has those of every optimizer
        "accumulation": min(2, request.accumulation),
    }
    shared = plan.request.but(**settings)
    short, longer = _stacks(kinds)
    known = _Known({}, {})
    found = [_stack(config, shared, points, kept, known) for kept in (short, *longer.values())]
    _check(config, shared, found[0], region)
    first, others = found[0], dict(zip(longer, found[1:], strict=True))
    # How many more layers of each kind the model has than the shortest stack.
    missing = {kind: kinds.count(kind) - sum(kinds[i] == kind for i in short) for kind in others}

    def deep(of: Callable[[_Stack], Any]) -> Any:
        return of(first) + sum(n * (of(others[kind]) - of(first)) for kind, n in missing.items())

    def span(key: Key) -> Array:
        spans = [each.spans[key] for each in found]
        if len({len(each) for each in spans}) == 1:
            return deep(lambda each: each.spans[key])
        return deep(lambda each: each.peak(key))

    micro = max(key[2] for key in first.spans)
    keys = [key for key in first.spans if key[0] in ("forward", "backward")]
    if not all(key in each.spans for key in keys for each in found):
        raise NotAlikeError("its layers do not run alike")

    def begins(*key: str) -> dict[str, Polynomial]:
        return _by_kind(deep(lambda each: each.spans[key][0]))

    trained = Counter(first.trained)
    for kind, n in missing.items():
        more = others[kind].trained - first.trained
        trained.update({shape: n * many for shape, many in more.items()})
    return Curves(
        moments=_highest({key: span(key) for key in keys}, region),
        loaded=begins("forward", "embedding", "0"),
        forward=begins("backward", "head", micro),
        stepping=begins(*_STEPPING, "0"),
        trained=tuple(Trained(*look, many) for look, many in trained.items()),
        trained_itemsize=first.itemsize,
        base_parameters=deep(lambda each: each.base_parameters),
        model_type=config.model_type,
        request={name: getattr(request, name) for name in _SETTLED},
        notes=(*remarks, *plan.notes, *notes_on_idle(first.idle)),
        traces=1 + sum(each.traces for each in found),
    )


def _stacks(kinds: Sequence[Any]) -> tuple[list[int], dict[Any, list[int]]]:
    """Return the shortest stack's layers, and those of each stack that has one of a kind more.

    The shortest holds the first and the last layer of every kind.
    """
    ends = {
        at
        for kind in set(kinds)
        for at in (kinds.index(kind), len(kinds) - 1 - kinds[::-1].index(kind))
    }
    short = sorted(ends)
    longer: dict[Any, list[int]] = {}
    for at, kind in enumerate(kinds):
        if at not in ends and kind not in longer:
            longer[kind] = sorted([*short, at])
    return short, longer


def _check(config: Any, request: MemoryRequest, stack: _Stack, region: Region) -> None:
    """Raise `NotAlikeError` where a trace at other settings has another peak than the polynomials.

    The code may change at a length, a batch or a rank that its configuration does not tell.
    """
    longest = min(region.last, 4 * region.first + 3_001)
    settings = {"seq_len": longest, "batch": 1 if region.one_row else 7, "rank": 50}
    traced = snapshot(config, request.but(**settings), stack.kept)
    until = ("forward", "backward")
    real = max(peak["total"] for key, peak in traced["peaks"].items() if key[0] in until)
    events = np.concatenate([span for key, span in stack.spans.items() if key[0] in until])
    found = (events.sum(axis=1) @ _powers(longest, settings["batch"], 50)).max()
    if abs(found / real - 1) > _MOST_DIFFERENCE:
        raise NotAlikeError("its code runs otherwise at another length, batch or rank")


@dataclass
class _Known:
    """What tensors that look alike in the first trace are at any length, batch and rank.

    None marks a look that two different tensors have.
    """

    sizes: dict[Any, Array | None]
    trained: dict[tuple[tuple[int, ...], bool], TrainedLook | None]


class _NewLookError(Exception):
    """A tensor looks as none of the first stack does, or as two that differ."""


def _stack(
    config: Any,
    request: MemoryRequest,
    points: dict[str, dict[str, int]],
    kept: list[int],
    known: _Known,
) -> _Stack:
    base = snapshot(config, request.but(**points["base"]), kept)
    kinds = kinds_of_allocations(base["recorder"])
    looks = [
        (
            re.sub(r"\.\d+(?=\.|$)", ".*", each.module),
            each.operation,
            each.shape,
            each.size_bytes,
            kind if each.operation == "loaded" else "",
        )
        for each, kind in zip(base["recorder"].allocations, kinds, strict=True)
    ]
    traces = 1
    try:
        sizes = [_looked_up(known.sizes, look) for look in looks]
        trained = [_looked_up(known.trained, each) for each in base["trained"]]
    except _NewLookError:
        shots = {"base": base}
        for name, point in points.items():
            if name != "base":
                shots[name] = snapshot(config, request.but(**point), kept)
        sizes, trained = _grown(shots, points)
        for look, size in zip(looks, sizes, strict=True):
            _learn(known.sizes, look, size)
        for look, lines in zip(base["trained"], trained, strict=True):
            _learn(known.trained, look, lines)
        traces = len(points)
    recorder = base["recorder"]
    changes = np.zeros((len(recorder.events), len(KINDS), len(EXPONENTS)))
    for event, (what, index) in enumerate(recorder.events):
        if what in (1, -1):
            changes[event, KINDS.index(kinds[index])] += what * sizes[index]
    return _Stack(
        kept=kept,
        live=np.cumsum(changes, axis=0),
        begins=[
            (e, recorder.moments[i]) for e, (what, i) in enumerate(recorder.events) if not what
        ],
        trained=Counter(trained),
        itemsize=base["sizes"]["gradients"] // base["trainable"],
        base_parameters=base["total"] - (0 if request.trains_all else base["trainable"]),
        idle=base["idle"],
        at_base=_powers(*(points["base"][name] for name in ("seq_len", "batch", "rank"))),
        traces=traces,
    )


def _looked_up(known: dict[Any, Any], look: Any) -> Any:
    found = known.get(look)
    if found is None:
        raise _NewLookError
    return found


def _learn(known: dict[Any, Any], look: Any, found: Any) -> None:
    before = known.get(look)
    same = (
        before is found or before == found
        if isinstance(found, tuple)
        else (before is not None and np.array_equal(before, found))
    )
    known[look] = found if look not in known or same else None


def _grown(
    shots: dict[str, dict[str, Any]], points: dict[str, dict[str, int]]
) -> tuple[list[Array], list[TrainedLook]]:
    """Return each allocation's size as a polynomial, and each trained shape as lines of rank."""
    recorders: list[StepRecorder] = [shot["recorder"] for shot in shots.values()]
    first = recorders[0]
    if any(each.events != first.events or each.moments != first.moments for each in recorders):
        raise NotAlikeError("its code runs otherwise at another length, batch or rank")
    made = zip(*(each.allocations for each in recorders), strict=True)
    known: dict[Any, Array] = {}
    sizes: list[Array] = []
    for one in made:
        seen = tuple((each.size_bytes, each.shape) for each in one)
        if seen not in known:
            known[seen] = _size(dict(zip(shots, seen, strict=True)), points)
        sizes.append(known[seen])
    base, ranked = shots["base"]["trained"], shots.get("rank", shots["base"])["trained"]
    start = points["base"]["rank"]
    end = points.get("rank", {"rank": start + 1})["rank"]
    lines = [
        (tuple(_line(a, b, start, end) for a, b in zip(one, other, strict=True)), reached)
        for (one, reached), (other, _) in zip(base, ranked, strict=True)
    ]
    return sizes, lines


def _size(seen: dict[str, tuple[int, tuple[int, ...]]], points: dict[str, dict[str, int]]) -> Array:
    """Return one storage's size as a polynomial, from its size and shape in each trace."""
    elements = {name: int(np.prod(shape, dtype=object)) for name, (_, shape) in seen.items()}
    size_bytes = seen["base"][0]
    if size_bytes == 0 and not any(size for size, _ in seen.values()):
        return np.zeros(len(EXPONENTS))
    ratio = size_bytes / elements["base"] if elements["base"] else 0
    # A view was seen first, of a storage whose size does not follow the view's shape.
    plain = ratio and all(size == ratio * elements[name] for name, (size, _) in seen.items())
    numbers = {name: (*shape, ratio) if plain else (size,) for name, (size, shape) in seen.items()}
    if len({len(each) for each in numbers.values()}) > 1 or not all(numbers["base"]):
        raise NotAlikeError("a tensor has another number of dimensions at another length")
    terms: Array = np.zeros((3, 2, 2))
    terms[0, 0, 0] = 1.0
    for dimension, at_base in enumerate(numbers["base"]):
        terms = terms * at_base
        for axis, (name, setting) in enumerate(
            (("length", "seq_len"), ("batch", "batch"), ("rank", "rank"))
        ):
            if name not in numbers:
                continue
            start, end = points["base"][setting], points[name][setting]
            constant, slope = _line(at_base, numbers[name][dimension], start, end)
            if slope:
                terms = _times(terms, constant / at_base, slope / at_base, axis)
    return terms.reshape(-1)


def _line(at_start: float, at_end: float, start: int, end: int) -> tuple[float, float]:
    """Return constant and slope of the line through two values."""
    slope = (at_end - at_start) / (end - start)
    return at_start - slope * start, slope


def _times(terms: Array, constant: float, slope: float, axis: int) -> Array:
    """Return the polynomial times (constant + slope · x), x the variable of this axis."""
    last = np.take(terms, -1, axis=axis)
    if np.any(last):
        raise NotAlikeError("a tensor grows with a higher power than the formula has")
    return constant * terms + slope * np.roll(terms, 1, axis=axis)


def _powers(seq_len: Any, batch: Any, rank: Any) -> Array:
    return np.array([1.0 * seq_len**s * batch**b * rank**r for s, b, r in EXPONENTS])


def _highest(spans: dict[Key, Array], region: Region) -> tuple[Moment, ...]:
    """Return the points that are the highest somewhere on a grid of lengths, batches and ranks."""
    longest = min(region.last, _LONGEST)
    lengths = _spread(region.first + 1, longest, 24)
    rows = [1] if region.one_row else _spread(2, _MOST_ROWS, 12)
    ranks = _spread(1, _MOST_RANK, 13)
    grid: Array = np.array([_powers(s, b, r) for s in lengths for b in rows for r in ranks])
    keys = [key for key, span in spans.items() for _ in range(len(span))]
    points: Array = np.concatenate(list(spans.values()))
    best: list[int] = np.unique(np.argmax(points.sum(axis=1) @ grid.T, axis=0)).tolist()
    return tuple(Moment(moment_name(keys[at]), _by_kind(points[at])) for at in best)


def _spread(first: int, last: int, many: int) -> list[int]:
    """Return about so many whole numbers from first to last, in equal ratios."""
    step = (last / first) ** (1 / (many - 1))
    return sorted({round(first * step**n) for n in range(many)})


def _by_kind(point: Array) -> dict[str, Polynomial]:
    return {kind: [float(c) for c in row] for kind, row in zip(KINDS, point, strict=True)}
