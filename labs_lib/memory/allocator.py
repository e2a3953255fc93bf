"""torch's caching allocator without a GPU: what a step reserves on CUDA, beyond what it allocates.

The rules are those of c10/cuda/CUDACachingAllocator.cpp with its default settings: sizes rounded up
to 512 bytes, segments of 2 MiB for what takes up to 1 MiB, of 20 MiB for up to 10 MiB and of a
multiple of 2 MiB above, the smallest free block that is large enough, and what is left over split
off where it is worth keeping.  A segment is never given back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs_lib.memory.recorder import StepRecorder

_ROUND, _MIB = 512, 2**20
_SMALL, _MIDDLE = _MIB, 10 * _MIB
WORKSPACE_BYTES = 8_519_680
"""cuBLAS' default workspace before Hopper, for each thread: 2 × 4,096 and 16 × 8 KiB
(`parseChosenWorkspaceSize` in torch's CUDABlas.cpp)."""
STEPS = 3
"""A step reserves the most once the segments of the first have been cut up."""


@dataclass(eq=False)
class Block:
    """A piece of a segment, in bytes; `order` numbers the segments as they were taken.

    `is_small` says that the segment is one of those for up to 1 MiB.
    """

    order: int
    start: int
    size_bytes: int
    segment: list[Block] = field(repr=False)
    is_small: bool
    is_free: bool = True


class CachingAllocator:
    """Takes and gives back blocks as torch does on CUDA, and counts both kinds of bytes."""

    def __init__(self) -> None:
        self.allocated_bytes = self.reserved_bytes = self.peak_allocated_bytes = 0
        self._segments = 0
        self._free: dict[bool, list[Block]] = {True: [], False: []}

    def take(self, size_bytes: int) -> Block:
        """Return a block for a storage of this size."""
        size = max(_ROUND, -(-size_bytes // _ROUND) * _ROUND)
        small = size <= _SMALL
        free = self._free[small]
        fitting = [block for block in free if block.size_bytes >= size]
        block = min(fitting, key=_place) if fitting else self._segment(size)
        free.remove(block)
        block.is_free = False
        rest = block.size_bytes - size
        if rest >= _ROUND if small else rest > _SMALL:
            self._split(block, size, free)
        self.allocated_bytes += block.size_bytes
        self.peak_allocated_bytes = max(self.peak_allocated_bytes, self.allocated_bytes)
        return block

    def give_back(self, block: Block) -> None:
        """Free a block; it grows together with free ones next to it."""
        self.allocated_bytes -= block.size_bytes
        free = self._free[block.is_small]
        place = block.segment.index(block)
        for neighbor in block.segment[max(0, place - 1) : place + 2]:
            if neighbor.is_free:  # which the block itself is not yet
                free.remove(neighbor)
                block.segment.remove(neighbor)
                block.start = min(block.start, neighbor.start)
                block.size_bytes += neighbor.size_bytes
        block.is_free = True
        free.append(block)

    def _segment(self, size: int) -> Block:
        if size <= _SMALL:
            taken = 2 * _MIB
        elif size < _MIDDLE:
            taken = 20 * _MIB
        else:
            taken = -(-size // (2 * _MIB)) * 2 * _MIB
        self.reserved_bytes += taken
        segment: list[Block] = []
        segment.append(Block(self._segments, 0, taken, segment, size <= _SMALL))
        self._segments += 1
        self._free[size <= _SMALL].append(segment[0])
        return segment[0]

    def _split(self, block: Block, size: int, free: list[Block]) -> None:
        rest = Block(
            block.order, block.start + size, block.size_bytes - size, block.segment, block.is_small
        )
        block.size_bytes = size
        block.segment.insert(block.segment.index(block) + 1, rest)
        free.append(rest)


def _place(block: Block) -> tuple[int, int, int]:
    return block.size_bytes, block.order, block.start


def replayed(recorder: StepRecorder, kept: Collection[int] = ()) -> CachingAllocator:
    """Return the allocator after several of the recorded steps, workspaces included.

    `kept` are allocations (by number) that live until the optimizer steps, such as logits that a
    training loop holds on to.
    """
    allocator = CachingAllocator()
    blocks: dict[int, Block] = {}
    forward, backward = (_begin(recorder, phase) for phase in ("forward", "backward"))
    end = len(recorder.events)
    allocator.take(WORKSPACE_BYTES)  # of the thread that goes forward
    _load(allocator, recorder, blocks, forward)
    loaded = set(blocks)
    for step in range(STEPS):
        for index in blocks.keys() - loaded:
            allocator.give_back(blocks.pop(index))
        _run(allocator, recorder, blocks, range(forward, backward), kept)
        if step == 0:
            allocator.take(WORKSPACE_BYTES)  # of autograd's thread
        _run(allocator, recorder, blocks, range(backward, end), kept)
    return allocator


def _load(
    allocator: CachingAllocator, recorder: StepRecorder, blocks: dict[int, Block], end: int
) -> None:
    """Take the model as it is loaded, with what is made on the way and leaves its segments.

    A 4-bit matrix comes in 16 bits and is quantized on the GPU. `prepare_model_for_kbit_training`
    then turns into fp32 what stayed in 16 bits, one tensor after the other.
    """
    whole: dict[int, Block] = {}
    for index in (index for what, index in recorder.events[:end] if what == 1):
        size = recorder.allocations[index].size_bytes
        if _is_packed(recorder, index):
            in_16_bits = allocator.take(4 * size)
            blocks[index] = allocator.take(size)
            allocator.give_back(in_16_bits)
        elif _is_prepared(recorder, index):
            whole[index] = allocator.take(size // 2)
        else:
            blocks[index] = allocator.take(size)
    for index, in_16_bits in whole.items():
        blocks[index] = allocator.take(recorder.allocations[index].size_bytes)
        allocator.give_back(in_16_bits)


def _is_packed(recorder: StepRecorder, index: int) -> bool:
    """Return whether a loaded tensor holds the codes of a 4-bit matrix."""
    found = recorder.allocations[index]
    return found.dtype == "uint8" and len(found.shape) == 2 and found.shape[1] == 1


def _is_prepared(recorder: StepRecorder, index: int) -> bool:
    """Return whether it is a matrix in fp32 over a 4-bit base: an embedding or a head."""
    found = recorder.allocations[index]
    of_base = recorder.kinds.get(index) == "weights"
    return of_base and found.dtype == "float32" and len(found.shape) == 2


def _begin(recorder: StepRecorder, phase: str) -> int:
    """Return the number of the event that begins the first moment of a phase."""
    return next(
        at
        for at, (what, index) in enumerate(recorder.events)
        if what == 0 and recorder.moments[index][0] == phase
    )


def _run(
    allocator: CachingAllocator,
    recorder: StepRecorder,
    blocks: dict[int, Block],
    events: range,
    kept: Collection[int],
) -> None:
    for what, index in (recorder.events[at] for at in events):
        if what == 1:
            blocks[index] = allocator.take(recorder.allocations[index].size_bytes)
        elif what == -1 and index in blocks and index not in kept:
            allocator.give_back(blocks.pop(index))
        elif what == 0 and recorder.moments[index][0] == "step":
            for each in kept:
                if each in blocks:
                    allocator.give_back(blocks.pop(each))


def logits_of(recorder: StepRecorder, vocabulary: int) -> set[int]:
    """Return the numbers of the logits, as the output head's product makes them."""
    return {
        number
        for number, each in enumerate(recorder.allocations)
        if each.module.endswith("lm_head")
        and each.shape[-1:] == (vocabulary,)
        and each.operation in ("mm", "addmm", "bmm")
        and recorder.moments[each.moment][0] == "forward"
    }
