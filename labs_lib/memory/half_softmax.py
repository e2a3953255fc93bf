"""Eager attention's softmax in fp16 on CUDA, where bf16 makes two copies that fp16 does not need.

The softmax of fp16 scores into fp32 is one kernel there, and so is its backward pass, which ends
in fp16 (`softmax` and `softmax_backward_cuda` in torch's SoftMax.cpp and SoftMax.cu). bf16 scores
are copied to fp32 first, and their fp32 gradient to bf16 last, as in a trace.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs_lib.memory.recorder import StepRecorder


def in_fp16(recorder: StepRecorder) -> StepRecorder:
    """Return a recorded step of bf16 as fp16 would have taken it: without the copies of scores."""
    made = [index for what, index in recorder.events if what == 1]
    allocations = list(recorder.allocations)
    copies: set[int] = set()
    gradient_of: dict[int, int] = {}  # the fp16 gradient takes the place of the copy to 16 bits
    for before, index, after in zip(made, made[1:], made[2:], strict=False):
        found = allocations[index]
        is_copied = [
            allocations[each].operation == "_to_copy" and allocations[each].shape == found.shape
            for each in (before, after)
        ]
        if found.operation == "_softmax" and len(found.shape) == 4 and is_copied[0]:
            copies.add(before)
        if found.operation == "_softmax_backward_data" and len(found.shape) == 4 and is_copied[1]:
            gradient_of[after] = index
            allocations[index] = found._replace(
                size_bytes=allocations[after].size_bytes, dtype=allocations[after].dtype
            )
    narrow = set(gradient_of.values())
    events: list[tuple[int, int]] = []
    for what, index in recorder.events:
        ends_here = what == -1 and index in gradient_of
        left_out = index in copies or index in gradient_of or (what == -1 and index in narrow)
        if ends_here:
            events.append((-1, gradient_of[index]))
        elif what not in (1, -1) or not left_out:
            events.append((what, index))
    changed = copy.copy(recorder)
    changed.events, changed.allocations = events, allocations
    return changed
