"""The stacks of repeated layers in a model: which there are, whether their layers are alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from labs_lib.errors import LabError
from labs_lib.memory.tensors import named_modules, own_buffers, own_parameters

# What tells a layer its place in the stack, and changes nothing that it computes.
_PLACE = re.compile(r"(^|_)(idx|index|id|number|name)$")


@dataclass(frozen=True)
class Stack:
    """A list of layers that run one after the other; `path` is its name in the model."""

    path: str
    layers: nn.ModuleList

    @property
    def parameters(self) -> int:
        """Return the number of parameters of all its layers."""
        return sum(p.numel() for p in self.layers.parameters())


def stacks_of(model: nn.Module) -> list[Stack]:
    """Return the model's lists of layers, the outermost ones only, in the order of its code.

    A list inside a layer (experts, a convolution's stages) belongs to that layer. Raises
    `LabError` for a model without one: there is nothing to follow.
    """
    found: list[Stack] = []
    for path, module in named_modules(model):
        inside = any(path.startswith(each.path + ".") for each in found)
        if isinstance(module, nn.ModuleList) and len(module) > 0 and not inside:
            found.append(Stack(path, module))
    found = [each for each in found if each.parameters > 0]
    if not found:
        raise LabError(f"model: {type(model).__name__} has no list of layers to follow")
    return found


def main_stack(model: nn.Module) -> Stack:
    """Return the stack that holds most of the model's parameters; of two alike the later one."""
    return max(reversed(stacks_of(model)), key=lambda each: each.parameters)


@dataclass(frozen=True)
class Pattern:
    """How a stack's layers repeat: `prefix` layers of their own, then `period` over and over.

    `shallow` are the depths of two smaller stacks that begin and end as the whole one does, the
    second longer by one period: what they cost gives the cost of every depth.
    """

    prefix: int
    period: int
    layers: int

    @property
    def shallow(self) -> tuple[int, int]:
        """Return the two depths. Below three periods the first and the last are not yet apart."""
        rest = (self.layers - self.prefix) % self.period
        low = self.prefix + rest + 2 * self.period
        return low, low + self.period


def pattern_of(kinds: Sequence[Any]) -> Pattern | None:
    """Return how layers of these kinds repeat, or None where tracing them all is as quick."""
    found: list[Pattern] = []
    for period in range(1, len(kinds) // 2 + 1):
        differs = [i for i in range(len(kinds) - period) if kinds[i] != kinds[i + period]]
        found.append(Pattern(differs[-1] + 1 if differs else 0, period, len(kinds)))
    quickest = min(found, key=lambda each: sum(each.shallow), default=None)
    usable = quickest is not None and (
        quickest.shallow[1] < len(kinds) and sum(quickest.shallow) <= 1.5 * len(kinds)
    )
    return quickest if usable else None


def kinds_of(stack: Stack, config: Any) -> list[tuple[Any, ...]] | None:
    """Return each layer's kind, equal for layers that are alike.

    Compared are the classes, parameters, buffers and plain settings of all modules in a layer,
    and the entries of the configuration's lists that have one for each layer. None where a module
    is in several layers (a shared block): their costs do not add up.
    """
    layers = list(stack.layers)
    parts = [id(part) for layer in layers for part in layer.modules()]
    if len(parts) != len(set(parts)):
        return None
    lists = [value for _, _, value in lists_by_layer(config, len(layers))]
    return [
        (_signature(layer), tuple(repr(each[index]) for each in lists))
        for index, layer in enumerate(layers)
    ]


def _signature(layer: nn.Module) -> tuple[Any, ...]:
    return tuple(
        (path, type(part).__name__, _tensors(part), _settings(part))
        for path, part in named_modules(layer)
    )


def _tensors(part: nn.Module) -> tuple[Any, ...]:
    own = [*own_parameters(part).items(), *own_buffers(part).items()]
    return tuple((name, tuple(t.shape), str(t.dtype)) for name, t in own)


def _settings(part: nn.Module) -> tuple[Any, ...]:
    return tuple(
        sorted(
            (name, repr(value))
            for name, value in vars(part).items()
            if isinstance(value, (bool, int, float, str, type(None), torch.dtype))
            and not _PLACE.search(name)
        )
    )


def lists_by_layer(config: Any, layers: int) -> list[tuple[Any, str, list[Any]]]:
    """Return the configuration's lists with one entry a layer, nested configurations' too.

    Each comes as (the fields of the configuration that holds it, its name there, its entries).
    """
    found: list[tuple[Any, str, list[Any]]] = []
    waiting: list[Any] = [config]
    while waiting:
        held = cast("dict[str, Any]", vars(waiting.pop()))
        for name, value in held.items():
            if hasattr(value, "to_dict"):
                waiting.append(value)
            elif isinstance(value, (list, tuple)) and len(cast("list[Any]", value)) == layers:
                found.append((held, name, list(cast("list[Any]", value))))
    return found


def keep_layers(stack: Stack, config: Any, kept: Sequence[int]) -> None:
    """Leave of a stack's layers those with these numbers, and their entries in `config`."""
    for held, name, entries in lists_by_layer(config, len(stack.layers)):
        held[name] = [entries[index] for index in kept]
    layers = [stack.layers[index] for index in kept]
    for position, layer in enumerate(layers):
        for part in layer.modules():
            if hasattr(part, "layer_idx"):  # its place in a cache of keys and values
                vars(part)["layer_idx"] = position
    del stack.layers[:]
    stack.layers.extend(layers)
