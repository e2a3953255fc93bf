"""Directions of an adapted weight that resemble none of the base's: intruder dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

INTRUDER_BELOW = 0.5
"""PEFT's threshold: a direction is an intruder whose largest cosine lies below it."""

Overlaps = dict[str, list[float]]


def overlaps(
    model: Any,
    adapters: Sequence[str] = ("default",),
    modules: Sequence[str] = ("q_proj", "v_proj"),
    strongest: int = 10,
) -> dict[str, Overlaps]:
    """Return adapter → matrix → the overlap of each of its strongest directions with the base's.

    The directions are the left singular vectors of W + ΔW, strongest first. The overlap of one is
    the largest |cosine| between it and any left singular vector of W: 1 means that the base has
    this direction, near 0 that none of the base's is like it. `model` is PEFT's, with LoRA
    adapters of these names; `modules` are the last parts of the matrices' names. One SVD a matrix,
    and one for each adapter. After arXiv 2410.21228, and `peft.tuners.lora.intruders`.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    found: dict[str, Overlaps] = {adapter: {} for adapter in adapters}
    layers: list[tuple[str, Any]] = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer) and name.rpartition(".")[2] in modules
    ]
    with torch.no_grad():
        for name, layer in layers:
            weight = layer.get_base_layer().weight.float()
            base = torch.linalg.svd(weight, full_matrices=False).U
            for adapter in adapters:
                adapted = weight + layer.get_delta_weight(adapter).float()
                new = torch.linalg.svd(adapted, full_matrices=False).U[:, :strongest]
                found[adapter][name] = (new.T @ base).abs().max(dim=1).values.tolist()
    return found


def count_intruders(overlaps_of_one: Overlaps, below: float = INTRUDER_BELOW) -> int:
    """Return how many of an adapter's directions are intruders, over all of its matrices."""
    return sum(each < below for values in overlaps_of_one.values() for each in values)
