"""Paged optimizers: a simulation of what CUDA's unified memory does with their states.

Adam keeps two numbers for each trained parameter and touches them once a step.  For the rest
of the step they only occupy memory, and a long batch needs that memory for activations.  A
paged optimizer allocates the states in CUDA's unified memory: when the card is full the driver
moves them, page by page, to the computer's main memory, and back when the optimizer touches
them.  The step becomes slower instead of failing.  Source: QLoRA, arXiv 2305.14314, §3.

On a CPU there is no second memory to move pages to, so `simulate_paging` computes what would
move.  It is a simulation: it times nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labs_lib.errors import LabError, choice_error


@dataclass(frozen=True)
class PagingStep:
    """One moment of a training step.

    `fixed_bytes` cannot be moved at this moment (weights, activations, gradients); `touches`
    names the paged buffers that are read or written and must therefore be on the card.
    """

    name: str
    fixed_bytes: int
    touches: tuple[str, ...] = ()


@dataclass(frozen=True)
class PagedStep:
    """What paging did at one moment, in bytes; `fits` is False where even paging cannot help."""

    name: str
    fixed_bytes: int
    page_in_bytes: int
    page_out_bytes: int
    resident_bytes: int
    fits: bool
    paged_in: tuple[str, ...] = ()
    paged_out: tuple[str, ...] = ()

    @property
    def used_bytes(self) -> int:
        """Memory of the card in use: what cannot move, and the buffers that stayed."""
        return self.fixed_bytes + self.resident_bytes


@dataclass(frozen=True)
class PagingReport:
    """A simulated run under a limit; `simulated` is always True, so that no table hides it."""

    limit_bytes: int
    buffer_bytes: int
    steps: tuple[PagedStep, ...]
    simulated: bool = field(default=True, init=False)

    @property
    def page_in_bytes(self) -> int:
        """Bytes moved to the card."""
        return sum(step.page_in_bytes for step in self.steps)

    @property
    def page_out_bytes(self) -> int:
        """Bytes moved to main memory."""
        return sum(step.page_out_bytes for step in self.steps)

    @property
    def transferred_bytes(self) -> int:
        """Bytes moved either way."""
        return self.page_in_bytes + self.page_out_bytes

    @property
    def fits(self) -> bool:
        """Whether every moment fits with paging."""
        return all(step.fits for step in self.steps)

    @property
    def fits_without_paging(self) -> bool:
        """Whether every moment would fit with the buffers on the card throughout."""
        return all(s.fixed_bytes + self.buffer_bytes <= self.limit_bytes for s in self.steps)


def simulate_paging(
    steps: Sequence[PagingStep], buffers: Mapping[str, int], limit_bytes: int
) -> PagingReport:
    """Simulate which buffers move between a card of `limit_bytes` and main memory.

    `buffers` gives the bytes of each paged buffer; all start on the card.  At each moment the
    buffers that were touched longest ago leave until the rest fits, and those touched come
    back (least recently used first out, as a driver does; complete buffers instead of pages).
    LabError for a negative size, a limit that is not positive, or a step that touches a buffer
    without a size.
    """
    _check(steps, buffers, limit_bytes)
    resident = dict.fromkeys(buffers)  # the key first in order was touched longest ago
    report = []
    for step in steps:
        paged_in = tuple(name for name in step.touches if name not in resident)
        for name in step.touches:
            resident.pop(name, None)
            resident[name] = None
        paged_out = []
        for name in list(resident):
            if step.fixed_bytes + _total(resident, buffers) <= limit_bytes:
                break
            if name not in step.touches:
                del resident[name]
                paged_out.append(name)
        resident_bytes = _total(resident, buffers)
        report.append(
            PagedStep(
                step.name,
                step.fixed_bytes,
                _total(paged_in, buffers),
                _total(paged_out, buffers),
                resident_bytes,
                step.fixed_bytes + resident_bytes <= limit_bytes,
                paged_in,
                tuple(paged_out),
            )
        )
    return PagingReport(limit_bytes, _total(buffers, buffers), tuple(report))


def training_phases(
    weights_bytes: int,
    gradients_bytes: int,
    activations_bytes: Sequence[int],
    state_names: Sequence[str],
) -> list[PagingStep]:
    """Return the moments of training steps for `simulate_paging`.

    `activations_bytes` has one entry a step: the peak of its batch, in bytes. Forward and backward
    need the activations, backward the gradients too; the optimizer then goes through the states
    one by one, with the activations already freed.
    """
    phases = []
    for number, activations in enumerate(activations_bytes, start=1):
        busy = weights_bytes + activations
        phases.append(PagingStep(f"step {number} forward", busy))
        phases.append(PagingStep(f"step {number} backward", busy + gradients_bytes))
        phases += [
            PagingStep(f"step {number} optimizer {name}", weights_bytes + gradients_bytes, (name,))
            for name in state_names
        ]
    return phases


def _total(names: Mapping[str, object] | Sequence[str], buffers: Mapping[str, int]) -> int:
    return sum(buffers[name] for name in names)


def _check(steps: Sequence[PagingStep], buffers: Mapping[str, int], limit_bytes: int) -> None:
    if limit_bytes <= 0:
        raise LabError(f"limit_bytes: {limit_bytes} is not a positive number of bytes")
    for name, size in buffers.items():
        if size < 0:
            raise LabError(f"buffers: {name} has {size} bytes; sizes are 0 or more")
    for step in steps:
        if step.fixed_bytes < 0:
            raise LabError(f"fixed_bytes: {step.fixed_bytes} in {step.name!r}; sizes are 0 or more")
        for name in step.touches:
            if name not in buffers:
                raise choice_error(f"touches ({step.name})", name, buffers)
