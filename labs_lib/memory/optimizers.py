"""The optimisers of a forecast: built, with their states, and able to step without values."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._guards import detect_fake_mode

from labs_lib.memory.request import MemoryRequest

_BITSANDBYTES = ("adamw_32bit", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit")

# bitsandbytes pages a state only if the parameter has at least this many elements
# (bitsandbytes/optim/optimizer.py, get_state_buffer).
PAGED_FROM_ELEMENTS = 100_000


def optimizer_of(model: nn.Module, request: MemoryRequest) -> torch.optim.Optimizer:
    """Build the optimiser that the request names, over the trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    name, rate = request.optimizer, 1e-4
    if name in ("adamw", "adamw_fused"):
        fused = name == "adamw_fused"
        foreach = None if fused else request.device == "cuda"
        return torch.optim.AdamW(parameters, lr=rate, foreach=foreach, fused=fused or None)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, foreach=request.device == "cuda")
    if name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(parameters, lr=rate, scale_parameter=False, relative_step=False)
    bnb: Any = importlib.import_module("bitsandbytes")

    kind = {
        "adamw_32bit": bnb.optim.AdamW32bit,
        "adamw_8bit": bnb.optim.AdamW8bit,
        "paged_adamw_8bit": bnb.optim.PagedAdamW8bit,
        "paged_adamw_32bit": bnb.optim.PagedAdamW32bit,
    }[name]
    return kind(parameters, lr=rate)


def states_on_device(optimizer: Any, request: MemoryRequest) -> list[torch.Tensor]:
    """Return the state tensors that stay on the device; paged ones may leave it."""
    paged = request.optimizer.startswith("paged") and request.device == "cuda"
    kept: list[torch.Tensor] = []
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                continue
            pageable = name in ("state1", "state2") and parameter.numel() >= PAGED_FROM_ELEMENTS
            if not (paged and pageable):
                kept.append(value)
    return kept


def all_states(optimizer: Any) -> list[torch.Tensor]:
    """Return every state tensor of the optimiser."""
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]


@contextlib.contextmanager
def steps_without_values(request: MemoryRequest) -> Iterator[None]:
    """Let optimisers run on fake tensors, which have no values.

    torch reads its step counter, bitsandbytes computes the entries of its two 8-bit code books,
    and transformers looks whether a row holds several packed texts (which would need a mask).
    Real tensors, of a training run in another thread, go the usual way.
    """
    from torch._subclasses.fake_tensor import FakeTensor

    def unless_fake(path: str, stand_in: Callable[..., Any], tells: Callable[..., bool]) -> Any:
        real = pkgutil.resolve_name(path)
        return mock.patch(path, lambda *a, **k: stand_in() if tells(*a, **k) else real(*a, **k))

    def first_is_fake(*arguments: Any, **named: Any) -> bool:
        return isinstance((*arguments, *named.values())[0], FakeTensor)

    def under_fake_mode(*arguments: Any, **named: Any) -> bool:
        return detect_fake_mode() is not None

    with contextlib.ExitStack() as patches:
        for path, stand_in, tells in (
            ("torch.optim.adam._get_value", lambda: 1.0, first_is_fake),
            (
                "transformers.masking_utils.find_packed_sequence_indices",
                lambda: None,
                first_is_fake,
            ),
            (
                "bitsandbytes.functional.create_dynamic_map",
                lambda: torch.empty(256),
                under_fake_mode,
            ),
        ):
            if path.startswith("bitsandbytes") and request.optimizer not in _BITSANDBYTES:
                continue
            patches.enter_context(unless_fake(path, stand_in, tells))
        yield


def create_states(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Step once with zero gradients, so that the optimiser's states exist as they do later."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
