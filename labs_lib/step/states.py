"""How many bytes an optimizer's states take for one tensor, by the way in which they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from typing_extensions import override

Shape = tuple[int, ...]
Group = tuple[Shape, int]
"""The shape of a trained tensor, and how many such tensors there are."""

# bitsandbytes pages a state only if the parameter has at least this many elements
# (bitsandbytes/optim/optimizer.py, get_state_buffer) …
PAGED_FROM_ELEMENTS = 100_000
# … and holds it in 8 bits only from this many.
EIGHT_BIT_FROM_ELEMENTS = 4096


def no_bytes(*_: object) -> int:
    """Return 0: what holds nothing, whatever it is asked about."""
    return 0


class StateBytes(NamedTuple):
    """Bytes of the states of one tensor: what a pager may move, and what it leaves in place."""

    movable: int
    fixed: int


class States(Protocol):
    """A way to store an optimizer's states."""

    @property
    def per_element(self) -> int:
        """Return how many states have the shape of the parameter itself."""
        ...

    def of(self, shape: Shape, itemsize: int) -> StateBytes:
        """Return the bytes for one tensor whose elements take `itemsize` bytes."""
        ...

    def shared_bytes(self, shapes: Iterable[Shape]) -> int:
        """Return the bytes that all tensors have in common, such as code books."""
        ...


@dataclass(frozen=True)
class WholeStates(States):
    """`count` values for each element, in `itemsize` bytes or in the parameter's own precision.

    `counter_bytes` is what the number of steps takes where it is a tensor.
    """

    count: int
    itemsize: int | None = None
    counter_bytes: int = 0

    @property
    @override
    def per_element(self) -> int:
        """Return the values for each element."""
        return self.count

    @override
    def of(self, shape: Shape, itemsize: int) -> StateBytes:
        """Return the bytes for one tensor."""
        size = itemsize if self.itemsize is None else self.itemsize
        return StateBytes(self.count * math.prod(shape) * size, self.counter_bytes)

    @override
    def shared_bytes(self, shapes: Iterable[Shape]) -> int:
        """Return 0: no two tensors share a state."""
        return 0


@dataclass(frozen=True)
class EightBitStates(States):
    """`count` 8-bit values for each element, with one fp32 absmax for 256 of them (bitsandbytes).

    Small tensors keep theirs in fp32. Each state has one code book of 256 fp32 values.
    """

    count: int

    @property
    @override
    def per_element(self) -> int:
        """Return the values for each element."""
        return self.count

    @override
    def of(self, shape: Shape, itemsize: int) -> StateBytes:
        """Return the bytes for one tensor."""
        elements = math.prod(shape)
        if elements < EIGHT_BIT_FROM_ELEMENTS:
            return StateBytes(self.count * 4 * elements, 0)
        return StateBytes(self.count * elements, self.count * 4 * -(-elements // 256))

    @override
    def shared_bytes(self, shapes: Iterable[Shape]) -> int:
        """Return the bytes of the code books, if any tensor is large enough to need them."""
        needed = any(math.prod(shape) >= EIGHT_BIT_FROM_ELEMENTS for shape in shapes)
        return self.count * 256 * 4 if needed else 0


@dataclass(frozen=True)
class FactoredStates(States):
    """One fp32 for each row and each column of a matrix, one for each element of a vector.

    Beside them stands the root mean square of the parameter (Adafactor, arXiv 1804.04235 §3).
    """

    @property
    @override
    def per_element(self) -> int:
        """Return 0: a matrix's states are its rows' and its columns'."""
        return 0

    @override
    def of(self, shape: Shape, itemsize: int) -> StateBytes:
        """Return the bytes for one tensor."""
        values = sum(shape) if len(shape) == 2 else math.prod(shape)
        return StateBytes(0, 4 * (values + 1))

    @override
    def shared_bytes(self, shapes: Iterable[Shape]) -> int:
        """Return 0: no two tensors share a state."""
        return 0


NO_STATES = WholeStates(0)
