"""The bytes that tensors hold, real or fake, and what hangs on a quantized weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn


def storage_key(storage: torch.UntypedStorage) -> int:
    """Return what tells a storage from all others that are alive: the address of its data."""
    return storage._cdata  # pyright: ignore[reportPrivateUsage]  # torch has no public name for it


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (path, module) of a model and of all in it, with types that torch leaves out."""
    yield from model.named_modules()


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return a module's own parameters by name, not those of its parts; shared ones too."""
    return dict(module.named_parameters(recurse=False, remove_duplicate=False))


def own_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's own buffers by name, not those of its parts; shared ones too."""
    return dict(module.named_buffers(recurse=False, remove_duplicate=False))


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor that is divided among several; else all of it."""
    part = getattr(tensor, "to_local", None)
    return tensor if part is None else part()


def storage_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of the tensors' storages, each counted once however many share it.

    Of a tensor that is divided among processes, what this one holds counts.
    """
    own = (own_part(tensor).untyped_storage() for tensor in tensors)
    storages = {storage_key(storage): storage for storage in own}
    return sum(storage.nbytes() for storage in storages.values())


def statistics_of(quant_state: Any) -> list[torch.Tensor]:
    """Return the tensors of a bitsandbytes `QuantState`: absmax, code book, and the second ones."""
    if quant_state is None:
        return []
    own = (quant_state.absmax, quant_state.code, getattr(quant_state, "offset", None))
    second = statistics_of(getattr(quant_state, "state2", None))
    return [tensor for tensor in own if isinstance(tensor, torch.Tensor)] + second


def states_of(optimizer: Any) -> list[torch.Tensor]:
    """Return every state tensor of an optimizer."""
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]
