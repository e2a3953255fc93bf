"""Live bytes of a training step, watched one operation at a time.

The same recorder counts fake tensors (a trace) and real ones (a check of it): a storage counts
from the operation that creates it until Python and autograd let go of it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labs_lib.memory.tensors import storage_key


class Allocation(NamedTuple):
    """A storage that came alive: which operation made it, in which module, how large."""

    key: int
    size_bytes: int
    operation: str
    module: str
    shape: tuple[int, ...]
    dtype: str
    moment: int


class StorageWatch(TorchDispatchMode):
    """Follows storages from the operation that makes them until nothing refers to them.

    A subclass decides in `__torch_dispatch__` which storages to `follow`, and is told of each end
    by `ended` with the number that it gave.
    """

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)  # pyright: ignore[reportUnknownMemberType]
        self._alive: dict[int, int] = {}

    def follow(self, storage: torch.UntypedStorage, number: int) -> None:
        """Watch a storage under a number of the subclass's own."""
        key = storage_key(storage)
        self._alive[key] = number
        weakref.finalize(storage, self._end, key, number).atexit = False

    def number_of(self, storage: torch.UntypedStorage) -> int | None:
        """Return the number of a storage that is followed and alive, else None."""
        return self._alive.get(storage_key(storage))

    def ended(self, number: int) -> None:
        """Take note that the storage with this number is gone."""
        raise NotImplementedError

    def _end(self, key: int, number: int) -> None:
        # An address may be in use again before the end of the storage that had it is told.
        if self._alive.get(key) == number:
            del self._alive[key]
            self.ended(number)


class StepRecorder(StorageWatch):
    """Writes down when each storage is created and freed, in an event list.

    `events` holds (+1, index of the allocation), (-1, index), (0, index of the moment), and
    (2, …) where a checkpointed layer has run again; `allocations` and `moments` say what they
    are, `kinds` maps an allocation to its kind where that is known (weights, adapter, gradients,
    optimizer), `entered` holds the names of the modules that ran. With `on_cuda` fake tensors are
    counted as CUDA's kernels would make them.
    """

    def __init__(self, *, on_cuda: bool = False) -> None:
        super().__init__()
        self.on_cuda = on_cuda
        self.events: list[tuple[int, int]] = []
        self.allocations: list[Allocation] = []
        self.moments: list[tuple[str, ...]] = []
        self.kinds: dict[int, str] = {}
        self.module_stack: list[str] = []
        self.entered: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count the storages that it makes."""
        kwargs = kwargs or {}
        inner = _opened_up(func)
        if inner is not None:
            with self:
                return inner(*args, **kwargs)
        inside = _kept_inside(func, args) if self.on_cuda else None
        if inside is not None:  # alive together with what the operation returns
            self._see(inside, f"inside {func.overloadpacket.__name__}", None)
        result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf, str(func.overloadpacket.__name__), None)
        return result

    def adopt(self, tensors: Iterable[torch.Tensor], kind: str, names: Iterable[str] = ()) -> None:
        """Count storages that were made before recording began."""
        named = iter(names)
        for tensor in tensors:
            self._see(tensor, "loaded", kind, next(named, ""))

    def label(self, tensor: torch.Tensor, kind: str) -> None:
        """Say what a living storage is."""
        index = self.number_of(tensor.untyped_storage())
        if index is not None:
            self.kinds[index] = kind

    def mark(self, *moment: str) -> None:
        """Begin a moment of the step, such as ("backward", "layer 3")."""
        self.events.append((0, len(self.moments)))
        self.moments.append(moment)

    def recomputed(self) -> None:
        """Note that a checkpointed layer has run again: what is alive of it is kept."""
        self.events.append((2, len(self.moments) - 1))

    def sort_ends(self) -> None:
        """Put storages that end together in the order of their beginnings.

        Autocast lets go of its copies of weights in the order of their addresses, which differs
        from run to run.
        """
        self.events = [
            event
            for is_end, together in itertools.groupby(self.events, lambda event: event[0] == -1)
            for event in (sorted(together, key=lambda event: event[1]) if is_end else together)
        ]

    def _see(self, tensor: torch.Tensor, operation: str, kind: str | None, name: str = "") -> None:
        storage = tensor.untyped_storage()
        if self.number_of(storage) is not None:
            return
        index = len(self.allocations)
        size_bytes = storage.nbytes()
        module = name or (self.module_stack[-1] if self.module_stack else "")
        self.allocations.append(
            Allocation(
                storage_key(storage),
                size_bytes,
                operation,
                module,
                tuple(tensor.shape),
                str(tensor.dtype).removeprefix("torch."),
                len(self.moments) - 1,
            )
        )
        self.events.append((1, index))
        if kind:
            self.kinds[index] = kind
        self.follow(storage, index)

    def ended(self, number: int) -> None:
        """Write down that an allocation is freed."""
        self.events.append((-1, number))


def _kept_inside(func: Any, arguments: Any) -> torch.Tensor | None:
    """Return a tensor like the one that a CUDA kernel makes for itself, or None."""
    # softmax_backward_cuda_out (SoftMax.cu): the product of the gradient and the softmax.
    if func.overloadpacket.__name__ == "_softmax_backward_data":
        return torch.empty_like(arguments[0])
    return None


def _opened_up(func: Any) -> Callable[..., Any] | None:
    # bitsandbytes' 4-bit product is one operation to torch; inside, CPUs and (past 1,536 tokens)
    # GPUs restore the weight to 16 bits and multiply. Running that inside counts the copy.
    if func.namespace == "bitsandbytes" and func.overloadpacket.__name__ == "gemm_4bit":
        import bitsandbytes.backends.default.ops

        operations: Any = bitsandbytes.backends.default.ops  # the function is not a public one
        return operations._gemm_4bit_default_impl
    return None
