"""What a training step costs, measured: live tensor bytes, process peak, seconds."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from labs_lib.memory.recorder import StorageWatch
from labs_lib.memory.tensors import (
    own_part,
    states_of,
    statistics_of,
    storage_bytes,
    storage_key,
)
from labs_lib.step.adapters import is_adapter_tensor


class LiveBytes(StorageWatch):
    """Count the bytes of tensor storages that operations create, while they live.

    Inside the block, `live_bytes` rises with each new storage and falls when it is freed;
    `peak_bytes` is the highest value seen. Tensors that existed before are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self._sizes_bytes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count the storages of its results."""
        given = {storage_key(storage) for storage in _storages((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage_key(storage) in given or self.number_of(storage) is not None:
                continue
            self.follow(storage, len(self._sizes_bytes))
            self._sizes_bytes.append(storage.nbytes())
            self.live_bytes += storage.nbytes()
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        return result

    def ended(self, number: int) -> None:
        """Take the storage's bytes off."""
        self.live_bytes -= self._sizes_bytes[number]


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    leaves = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    return [own_part(leaf).untyped_storage() for leaf in leaves]


def memory_parts(model: Any, optimizer: Any, gradients_bytes: int) -> dict[str, int]:
    """Return the bytes that stay through a step, by the names that `labs memory` uses.

    After full fine-tuning there is no adapter: what is trained counts as weights. `paged_bytes` are
    those of the optimizer that CUDA's driver moves and torch's allocator does not count.
    """
    adapter = storage_bytes(
        p for name, p in model.named_parameters() if p.requires_grad and is_adapter_tensor(name)
    )
    parts = {
        "weights_bytes": resident_bytes(model) - adapter,
        "adapter_bytes": adapter,
        "gradients_bytes": gradients_bytes,
        "optimizer_bytes": optimizer_bytes(optimizer),
    }
    paged = storage_bytes(s for s in _states(optimizer) if getattr(s, "is_paged", False))
    return parts | ({"paged_bytes": paged} if paged else {})


def resident_bytes(model: Any) -> int:
    """Return the bytes of parameters, buffers and 4-bit statistics, each storage once."""
    tensors = [*model.parameters(), *model.buffers()]
    for parameter in model.parameters():
        tensors += statistics_of(getattr(parameter, "quant_state", None))
    return storage_bytes(tensors)


def grad_bytes(model: Any) -> int:
    """Return the bytes of the gradients that exist now."""
    return storage_bytes(p.grad for p in model.parameters() if p.grad is not None)


def optimizer_bytes(optimizer: Any) -> int:
    """Return the bytes of the optimizer's states."""
    return storage_bytes(_states(optimizer))


def _states(optimizer: Any) -> list[torch.Tensor]:
    return states_of(getattr(optimizer, "optimizer", optimizer))


def process_peak_bytes() -> int:
    """Return the most memory that this process ever held resident."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
