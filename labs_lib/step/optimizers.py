"""The optimizers of the course, each with how it is built and what it costs.

A new one is one entry in `OPTIMIZERS`: the forecast, the trace, `labs memory` and a recipe's
`optimizer` read this table alone.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labs_lib.errors import choice_error
from labs_lib.step.states import (
    NO_STATES,
    PAGED_FROM_ELEMENTS,
    EightBitStates,
    FactoredStates,
    Group,
    States,
    WholeStates,
    no_bytes,
)

if TYPE_CHECKING:
    import torch

Build = Callable[[list["torch.nn.Parameter"], float, str], "torch.optim.Optimizer"]
"""(parameters, learning rate, device) → optimizer; imports its library when it is called."""

Temporary = Callable[[Sequence[Group], int, str], int]
"""(trained tensors, bytes of an element, device) → the most bytes that a step holds for itself."""


@dataclass(frozen=True)
class Optimizer:
    """One optimizer: how it is built, and the bytes of its states and of its step.

    `optim` is what transformers' `TrainingArguments.optim` calls it, None where it has no name
    for it; such an optimizer can be forecast and not trained with. `aliases` are other names that
    are accepted. `library` is the package that it comes from. The states of a `paged` one may
    leave the GPU. `fused` and `eight_bit` name the same rule in one kernel and in 8-bit states.
    """

    description: str
    build: Build = field(repr=False)
    states: States
    optim: str | None
    aliases: tuple[str, ...] = ()
    library: str = "torch"
    temporary: Temporary = field(default=no_bytes, repr=False)
    paged: bool = False
    fused: str = ""
    eight_bit: str = ""

    def __str__(self) -> str:
        return self.description

    def pages(self, device: str) -> bool:
        """Return whether states may leave the device: only CUDA has a second memory to page to."""
        return self.paged and device == "cuda"

    def state_bytes(
        self, groups: Sequence[Group], itemsize: int, device: str = "cuda"
    ) -> tuple[int, int]:
        """Return (bytes of all states, bytes of those that stay on the device).

        `groups` are the trained tensors, `itemsize` the bytes of one of their elements.
        """
        shared = self.states.shared_bytes(shape for shape, _ in groups)
        total = resident = shared
        for shape, many in groups:
            movable, fixed = self.states.of(shape, itemsize)
            leaves = self.pages(device) and math.prod(shape) >= PAGED_FROM_ELEMENTS
            total += many * (movable + fixed)
            resident += many * (fixed + (0 if leaves else movable))
        return total, resident


def _adamw(**options: Any) -> Build:
    def build(parameters: list[Any], learning_rate: float, device: str) -> Any:
        import torch

        how = options or {"foreach": device == "cuda"}
        return torch.optim.AdamW(parameters, lr=learning_rate, **how)

    return build


def _sgd(parameters: list[Any], learning_rate: float, device: str) -> Any:
    import torch

    return torch.optim.SGD(parameters, lr=learning_rate, foreach=device == "cuda")


def _adafactor(parameters: list[Any], learning_rate: float, _device: str) -> Any:
    from transformers.optimization import Adafactor

    return Adafactor(parameters, lr=learning_rate, scale_parameter=False, relative_step=False)


def from_bitsandbytes(class_name: str) -> Build:
    """Return what builds bitsandbytes' optimizer of this class name."""

    def build(parameters: list[Any], learning_rate: float, _device: str) -> Any:
        library = importlib.import_module("bitsandbytes.optim")
        return getattr(library, class_name)(parameters, lr=learning_rate)

    return build


def _foreach_copy(groups: Sequence[Group], itemsize: int, device: str) -> int:
    if device == "cuda":  # the square roots of all second moments at once
        return sum(math.prod(shape) * many for shape, many in groups) * itemsize
    return 2 * _largest(groups) * itemsize


def _factored_update(groups: Sequence[Group], itemsize: int, _device: str) -> int:
    # The update and its square in fp32, and fp32 copies of 16-bit values.
    return _largest(groups) * (16 if itemsize < 4 else 8)


def _largest(groups: Sequence[Group]) -> int:
    return max(math.prod(shape) for shape, _ in groups)


OPTIMIZERS: dict[str, Optimizer] = {
    "adamw": Optimizer(
        "two states in the parameter's precision; torch's foreach step, one temporary copy",
        build=_adamw(),
        states=WholeStates(2, counter_bytes=4),
        optim="adamw_torch",
        aliases=("adamw_torch",),
        temporary=_foreach_copy,
        fused="adamw_fused",
        eight_bit="adamw_8bit",
    ),
    "adamw_fused": Optimizer(
        "two states in the parameter's precision; one kernel, no temporaries",
        build=_adamw(fused=True),
        states=WholeStates(2, counter_bytes=4),
        optim="adamw_torch_fused",
        aliases=("adamw_torch_fused",),
        eight_bit="adamw_8bit",
    ),
    "adamw_32bit": Optimizer(
        "two fp32 states, whatever the parameter's precision (bitsandbytes)",
        build=from_bitsandbytes("AdamW32bit"),
        states=WholeStates(2, itemsize=4),
        optim=None,
        library="bitsandbytes",
        eight_bit="adamw_8bit",
    ),
    "adamw_8bit": Optimizer(
        "two 8-bit states with one fp32 absmax for 256 values (bitsandbytes)",
        build=from_bitsandbytes("AdamW8bit"),
        states=EightBitStates(2),
        optim="adamw_bnb_8bit",
        aliases=("adamw_bnb_8bit",),
        library="bitsandbytes",
    ),
    "paged_adamw_8bit": Optimizer(
        "8-bit states that the driver may move to the CPU's memory",
        build=from_bitsandbytes("PagedAdamW8bit"),
        states=EightBitStates(2),
        optim="paged_adamw_8bit",
        library="bitsandbytes",
        paged=True,
    ),
    "paged_adamw_32bit": Optimizer(
        "fp32 states that the driver may move to the CPU's memory",
        build=from_bitsandbytes("PagedAdamW32bit"),
        states=WholeStates(2, itemsize=4),
        optim="paged_adamw_32bit",
        library="bitsandbytes",
        paged=True,
    ),
    "sgd": Optimizer("no states", build=_sgd, states=NO_STATES, optim="sgd"),
    "adafactor": Optimizer(
        "one row and one column of fp32 for each matrix",
        build=_adafactor,
        states=FactoredStates(),
        optim="adafactor",
        library="transformers",
        temporary=_factored_update,
    ),
}


def optimizer_name(name: object) -> str:
    """Return the table's name for a name or an alias; `LabError` with the nearest for others."""
    if isinstance(name, str) and name in OPTIMIZERS:
        return name
    for own, optimizer in OPTIMIZERS.items():
        if name in optimizer.aliases:
            return own
    raise choice_error("optimizer", name, OPTIMIZERS)
