"""A model as FSDP2 cuts it up: one unit for each layer, and the root for all that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from labs_lib.memory.stacks import main_stack
from labs_lib.memory.tensors import own_parameters, statistics_of


@dataclass(frozen=True)
class Unit:
    """Bytes that are gathered at once: `frozen` and `trained` parameters, a shard on each device.

    `kept` are the statistics of 4-bit matrices and the buffers. They are no parameters, so every
    device has all of them.
    """

    frozen: int = 0
    trained: int = 0
    kept: int = 0

    @property
    def parameters(self) -> int:
        """Return the bytes of all parameters."""
        return self.frozen + self.trained

    def __add__(self, other: Unit) -> Unit:
        return Unit(
            self.frozen + other.frozen, self.trained + other.trained, self.kept + other.kept
        )


@dataclass(frozen=True)
class Units:
    """All layers of the main stack together, the largest of them, and what is outside of them."""

    layers: Unit
    largest: Unit
    root: Unit

    def at_depth(self, deeper: Units, line: Callable[[int, int], int]) -> Units:
        """Return the units on the `line` through these and a deeper stack's."""
        low, high = self.layers, deeper.layers
        layers = Unit(
            line(low.frozen, high.frozen),
            line(low.trained, high.trained),
            line(low.kept, high.kept),
        )
        return Units(layers, deeper.largest, deeper.root)


def units_of(model: nn.Module) -> Units:
    """Return the units of a model, real or fake; a tensor that is shared counts once."""
    seen: set[int] = set()
    layers = [_unit(layer.modules(), seen) for layer in main_stack(model).layers]
    root = _unit(model.modules(), seen)
    return Units(sum(layers, Unit()), max(layers, key=lambda each: each.parameters), root)


def _unit(modules: Iterable[nn.Module], seen: set[int]) -> Unit:
    unit = Unit()
    for module in modules:
        for parameter in own_parameters(module).values():
            statistics = statistics_of(getattr(parameter, "quant_state", None))
            kept = sum(_bytes(each, seen) for each in statistics)
            size = _bytes(parameter, seen)
            trained = size if parameter.requires_grad else 0
            unit += Unit(size - trained, trained, kept)
        unit += Unit(kept=sum(_bytes(each, seen) for each in module.buffers(recurse=False)))
        scale = getattr(getattr(module, "state", None), "SCB", None)  # LLM.int8's scales
        if isinstance(scale, torch.Tensor):
            unit += Unit(kept=_bytes(scale, seen))
    return unit


def _bytes(tensor: torch.Tensor, seen: set[int]) -> int:
    if id(tensor) in seen:
        return 0
    seen.add(id(tensor))
    return tensor.numel() * tensor.element_size()
