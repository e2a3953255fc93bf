"""Tensors of which each process holds a part, and the complete ones that they are parts of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return the complete tensor; every process must ask, for each of them sends its part."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def part_like(place: torch.Tensor, complete: torch.Tensor) -> torch.Tensor:
    """Return `complete` cut up as `place` is; each process cuts its part out of its own copy."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(place, DTensor):
        return complete
    return distribute_tensor(complete, place.device_mesh, place.placements, src_data_rank=None)


def put(place: torch.Tensor, complete: torch.Tensor) -> None:
    """Fill `place` with the numbers of `complete`."""
    import torch

    with torch.no_grad():
        place.copy_(part_like(place, complete.to(device=place.device, dtype=place.dtype)))
