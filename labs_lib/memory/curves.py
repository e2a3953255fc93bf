"""The forecast of an architecture that the formula has no layer for: polynomials fitted to traces.

Memory grows in a line with depth, batch and rank, and as a polynomial with length, between the
lengths at which the code changes (a sliding window). `fitting_traces` finds those polynomials from
a few traces of shallow stacks; here they are kept, on disk too, and evaluated without torch. Those
of many catalogue models, in the usual settings, come with the course (`shipped_fits`). What an
optimizer holds is its own table's (`labs_lib.step.optimizers`), so the same curves serve all.

Known error: none against the trace where its code runs alike at every length; `curves_of` holds one
trace at other settings against the polynomials, and gives up where they differ by a percent.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import math
from pathlib import Path
from typing import Any

from labs_lib import paths
from labs_lib.errors import LabError
from labs_lib.files import NotWrittenError, write_json
from labs_lib.jsons import read_json
from labs_lib.memory.architecture import check_length, config_of, positions_of
from labs_lib.memory.config_file import check_quantized, config_file, read_fields
from labs_lib.memory.polynomials import Curves, at, powers
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.result import KINDS, Forecast, notes_on
from labs_lib.memory.shipped_fits import read_shipped
from labs_lib.models.catalogue import find
from labs_lib.step.optimizers import OPTIMIZERS

_MOST_BYTES = 2**24
_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")
# What the polynomials are of, and what they leave to the optimizers' table.
_SIZES = ("model", "batch", "seq_len", "rank", "optimizer", "rslora")


class NoFitError(Exception):
    """No polynomial describes this step; the text says why."""


def fitted(request: MemoryRequest) -> Forecast:
    """Forecast by polynomials, from memory or disk, or from traces that are run now.

    Raises `NoFitError` where the model's code does not run alike at every length, batch and rank
    (it can be traced all the same), and `LabError` as `trace` does.
    """
    if request.adapter and not request.adapter.grows_in_lines:
        raise NoFitError(f"the tensors of {request.adapter.title} do not grow in a line")
    fields = _fields_of(request)
    path = paths.own_cache_dir() / "memory" / f"{_key(fields, request)}.json"
    kept = _kept(path) or _shipped(path, fields, request)
    if kept is None:
        kept = _begun(config_of(request.model, request))
    check_length(kept["longest"], request)
    first, last = _span(kept, request.seq_len)
    name = f"{'one row' if request.batch == 1 else 'rows'}, {first} to {last}"
    if name not in kept["regions"]:
        kept["regions"][name] = _made(request, (first, last))
        _keep(path, kept)
    found = kept["regions"][name]
    if "reason" in found:
        raise NoFitError(found["reason"])
    return _evaluated(Curves.of(found), request)


def _begun(config: Any) -> dict[str, Any]:
    """Return what is kept of a configuration before anything is fitted."""
    return {"longest": positions_of(config), "windows": _windows(config), "regions": {}}


def _fields_of(request: MemoryRequest) -> dict[str, Any]:
    """Return the configuration's fields as they are written down, checked as `config_of` does."""
    entry = find(request.model)
    if entry is not None:
        return {"model_type": entry.family.model_type, **entry.config}
    path = config_file(request.model)
    if path is None:
        return config_of(request.model, request).to_dict()
    fields = read_fields(path)
    check_quantized(fields, path, request.quantizes)
    return fields


def _key(fields: dict[str, Any], request: MemoryRequest) -> str:
    versions = {name: _version(name) for name in _LIBRARIES}
    adapter = request.adapter  # a student's own is another one when its code has changed
    code = (
        [each.__code__.co_code.hex() for each in (adapter.config, adapter.tensors)]
        if adapter
        else []
    )
    return _digest(_source(), versions, fields, _settings(request), code)


def shipped_key(fields: dict[str, Any], request: MemoryRequest) -> str:
    """Return what names a fit that comes with the course, on any system and build of torch."""
    versions = {name: _version(name).partition("+")[0] for name in _LIBRARIES}
    return _digest(versions, fields, _settings(request))


def _settings(request: MemoryRequest) -> dict[str, Any]:
    settings = request.model_dump(exclude=set(_SIZES))
    return settings | {
        "accumulation": min(2, request.accumulation),
        "dropout": request.dropout > 0,
    }


def _digest(*told: Any) -> str:
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _shipped(path: Path, fields: dict[str, Any], request: MemoryRequest) -> dict[str, Any] | None:
    adapter = request.adapter
    if adapter and not adapter.config.__module__.startswith("labs_lib."):
        return None
    content = read_shipped(shipped_key(fields, request))
    if content is not None:
        _IN_MEMORY[path] = content
    return content


@functools.cache
def _source() -> str:
    """Return what tells this room's code from a later one's."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@functools.cache
def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


# What has been read or made in this process, by file.
_IN_MEMORY: dict[Path, dict[str, Any]] = {}


def _kept(path: Path) -> dict[str, Any] | None:
    """Return what is kept in memory or on disk; a file that cannot be read is made anew."""
    if path in _IN_MEMORY:
        return _IN_MEMORY[path]
    try:
        content: Any = read_json(path, _MOST_BYTES)
        for each in content["regions"].values():
            Curves.of(each)
        _span(content, 2)
    except (LabError, ValueError, KeyError, TypeError, AttributeError):
        return None
    _IN_MEMORY[path] = content
    return content


def _keep(path: Path, content: dict[str, Any]) -> None:
    _IN_MEMORY[path] = content
    regions = {name: found for name, found in content["regions"].items() if "reason" not in found}
    # On a full or read-only disk the next process fits again.
    with contextlib.suppress(NotWrittenError):
        write_json(path, {**content, "regions": regions})


def _windows(config: Any) -> list[int]:
    """Return the lengths at which a configuration's code changes: windows and chunks."""
    found: set[int] = set()
    waiting: list[Any] = [config.to_dict()]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, int) and not name.endswith("layers"):
                found |= {value} if "window" in name or "chunk" in name else set()
    return sorted(found)


def _span(kept: dict[str, Any], seq_len: int) -> tuple[int, int]:
    """Return (first, last) of the span of lengths, first left out, that holds this one."""
    longest = kept["longest"] or 2**20
    # A text as long as the window takes the way of longer ones.
    inner = [window - 1 for window in kept["windows"] if 2 < window < longest]
    ends = [1, *inner, max(longest, seq_len)]
    last = next(end for end in ends[1:] if seq_len <= end)
    return ends[ends.index(last) - 1], last


def _made(request: MemoryRequest, span: tuple[int, int]) -> dict[str, Any]:
    """Return the region's curves as plain values, or the reason why there are none."""
    from labs_lib.memory.fitting_traces import NotAlikeError, Region, curves_of

    try:
        return curves_of(request, Region(request.batch == 1, *span)).as_dict()
    except NotAlikeError as error:
        return {"reason": str(error)}


def _evaluated(curves: Curves, request: MemoryRequest) -> Forecast:
    values = powers(request.seq_len, request.batch, request.rank)
    optimizer, itemsize = OPTIMIZERS[request.optimizer], curves.trained_itemsize
    groups = [each.at(request.rank) for each in curves.trained]
    trained = sum(math.prod(shape) * many for shape, many in groups)
    states, resident = optimizer.state_bytes(groups, itemsize, request.device)

    def alive(polynomials: dict[str, Any]) -> dict[str, int]:
        live = {kind: at(polynomials[kind], values) for kind in KINDS}
        return {**live, "optimizer": resident}

    moments = [(moment.name, alive(moment.alive)) for moment in curves.moments]
    stepping = alive(curves.stepping)
    reached = [each.at(request.rank) for each in curves.trained if each.reached]
    stepping["temporary"] += optimizer.temporary(reached, itemsize, request.device)
    moments.append(("the optimizer's step", stepping))
    name, at_peak = max(moments, key=lambda each: sum(each[1].values()))
    loaded, forward = alive(curves.loaded), alive(curves.forward)
    return Forecast(
        request=request.but(**curves.request),
        source="fitted",
        weights_bytes=loaded["weights"],
        adapter_bytes=loaded["adapter"],
        gradients_bytes=trained * itemsize,
        optimizer_bytes=states,
        activations_bytes=forward["activations"],
        peak_bytes=sum(at_peak.values()),
        trainable_parameters=trained,
        total_parameters=curves.base_parameters + (0 if request.trains_all else trained),
        at_peak=at_peak,
        peak_moment=name,
        moments={"after load": loaded, "after forward": forward, "at the peak": at_peak},
        notes=(*notes_on(request, curves.model_type), *curves.notes),
    )
