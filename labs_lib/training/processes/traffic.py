"""What a process sends to the others in a step, and what it gathers from them for a while."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labs_lib.training.engine.measure import LiveBytes


class SentBytes(TorchDispatchMode):
    """Count inside the block the bytes that a ring of `count` processes has each one send.

    To gather n parts, and to add up and keep one part of n, each passes on n − 1 parts; to add up
    and keep everything takes both.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.bytes = 0
        self.by_kind: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; where it is a collective one, count what it sends."""
        name = func.overloadpacket.__name__ if func.namespace == "c10d" else ""
        for kind, rounds in (("allreduce", 2), ("allgather", 1), ("reduce_scatter", 1)):
            if kind in name:
                complete = max(_bytes(args[0]), _bytes(args[1:]))
                sent = rounds * (self._count - 1) * complete // self._count
                self.by_kind[kind] = self.by_kind.get(kind, 0) + sent
                self.bytes += sent
        return func(*args, **(kwargs or {}))


def _bytes(tree: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tree_leaves(tree) if torch.is_tensor(t))


class GatheredBytes(LiveBytes):
    """`LiveBytes` that also counts storages that grow and shrink, as FSDP2's gathered ones do."""

    def __enter__(self) -> GatheredBytes:
        storages: Any = torch.UntypedStorage
        resize = storages.resize_

        def counted(storage: Any, size_bytes: int) -> Any:
            before = storage.nbytes()
            result = resize(storage, size_bytes)
            self._resized(storage, storage.nbytes() - before)
            return result

        self._put_back = resize
        storages.resize_ = counted
        return super().__enter__()

    def __exit__(self, *error: Any) -> Any:
        storages: Any = torch.UntypedStorage
        storages.resize_ = self._put_back
        return super().__exit__(*error)

    def _resized(self, storage: torch.UntypedStorage, more_bytes: int) -> None:
        number = self.number_of(storage)
        if number is not None:
            self._sizes_bytes[number] += more_bytes
        self.live_bytes += more_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
