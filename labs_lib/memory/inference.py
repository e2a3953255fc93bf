"""What answering takes: the weights, the cache of keys and values, and the peak of the prompt.

The cache holds, for each token of each sequence, what every layer's attention must read again:
2 · layers · key/value heads · head size numbers in a plain Llama, less where a layer sees a window
of the text or keeps a compressed form. It is read off the model's own code, run on shapes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from labs_lib.memory.architecture import check_length, config_of, positions_of
from labs_lib.memory.borders import in_one_line
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import format_bytes


@dataclass(frozen=True)
class Serving:
    """Bytes that `batch` sequences of `seq_len` tokens take while they are answered.

    `cache_bytes` holds the keys and values of them all; `peak_bytes` is that of reading a prompt of
    this length: weights, adapter, the cache as it grows, one layer's own tensors, and the logits of
    the last token. What an engine such as vLLM sets aside beforehand is not counted.
    """

    request: MemoryRequest
    weights_bytes: int
    adapter_bytes: int
    cache_bytes: int
    peak_bytes: int

    @property
    def cache_bytes_per_token(self) -> float:
        """Return the cache's bytes for one token of one sequence, in the mean."""
        return self.cache_bytes / self.request.tokens

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "weights_bytes": self.weights_bytes,
            "adapter_bytes": self.adapter_bytes,
            "cache_bytes": self.cache_bytes,
            "cache_bytes_per_token": self.cache_bytes_per_token,
            "peak_bytes": self.peak_bytes,
        }

    def __str__(self) -> str:
        request = self.request
        return (
            f"{request.model}, answering {request.batch} x {request.seq_len} tokens: "
            f"peak {format_bytes(self.peak_bytes)}, of it {format_bytes(self.cache_bytes)} cache"
        )


def serve(model: str | MemoryRequest, **fields: Any) -> Serving:
    """Forecast the memory of answering; `fields` are those of `MemoryRequest`.

    `method` says how the base is held and whether an adapter is beside it: "full" has none.
    Raises `LabError` for a bad request, or for a model that keeps no cache.
    """
    request = request_of(model, **fields)
    return _served(request.model_dump_json())


@functools.lru_cache(maxsize=64)
def _served(asked: str) -> Serving:
    from labs_lib.memory.tracing import one_trace_at_a_time, planned

    with one_trace_at_a_time():
        config, plan, _ = planned(MemoryRequest.model_validate_json(asked))
        request = plan.request
        check_length(positions_of(config), request)
        pattern = plan.pattern
        if pattern is None:
            return Serving(request, **_prompt(config_of(request.model, request), request, None))
        low, high = (_prompt(config, request, depth) for depth in pattern.shallow)
        steps = (pattern.layers - pattern.shallow[0]) // pattern.period
        deep = {name: low[name] + (high[name] - low[name]) * steps for name in low}
        return Serving(request, **deep)


def _prompt(config: Any, request: MemoryRequest, depth: int | None) -> dict[str, int]:
    """Read one prompt on shapes and return the sizes that `Serving` holds."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from labs_lib.memory import building, fakes, placing
    from labs_lib.memory.recorder import StepRecorder
    from labs_lib.memory.tracing import summarize

    kept = None if depth is None else range(depth)
    model: Any = building.meta_model(config, request.but(checkpointing=False), kept)
    model.eval()
    running = in_one_line(f"serve: {config.model_type} cannot be run on shapes", model)
    with running, FakeTensorMode(), fakes.steps_without_values(request), torch.no_grad():
        placing.materialize(model)
        base, adapter = placing.weights_of(model)
        recorder = StepRecorder(on_cuda=request.device == "cuda")
        inputs = building.inputs_of(model, request)
        inputs.pop("labels")
        with recorder:
            recorder.mark("load", "model", "0")
            recorder.adopt(base, "weights")
            recorder.adopt(adapter, "adapter")
            recorder.mark("forward", "prompt", "0")
            made = model(**inputs, use_cache=True, logits_to_keep=1)
        cache = _tensors_of(getattr(made, "past_key_values", None))
    found = summarize(recorder)
    loaded = found["ends"][("load", "model", "0")]
    return {
        "weights_bytes": loaded["weights"],
        "adapter_bytes": loaded["adapter"],
        "cache_bytes": sum(each.untyped_storage().nbytes() for each in cache),
        "peak_bytes": max(peak["total"] for peak in found["peaks"].values()),
    }


def _tensors_of(cache: Any) -> list[Any]:
    import torch

    layers: Any = getattr(cache, "layers", ())
    kept: list[dict[str, Any]] = [vars(layer) for layer in layers]
    held = [value for each in kept for value in each.values()]
    # A tensor of one axis counts tokens; keys and values have more.
    return [each for each in held if isinstance(each, torch.Tensor) and each.dim() > 2]
