"""The bytes that tensors hold, real or fake, and what hangs on a quantised weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def storage_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of the tensors' storages, each counted once however many share it."""
    storages = {storage._cdata: storage for storage in (t.untyped_storage() for t in tensors)}
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
