"""The optimizers of a forecast: built, and with their states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from labs_lib.memory.request import MemoryRequest
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.step.states import PAGED_FROM_ELEMENTS


def optimizer_of(model: nn.Module, request: MemoryRequest) -> torch.optim.Optimizer:
    """Build the optimizer that the request names, over the trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return OPTIMIZERS[request.optimizer].build(parameters, 1e-4, request.device)


def states_on_device(optimizer: Any, request: MemoryRequest) -> list[torch.Tensor]:
    """Return the state tensors that stay on the device; paged ones may leave it."""
    paged = OPTIMIZERS[request.optimizer].pages(request.device)
    kept: list[torch.Tensor] = []
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                continue
            pageable = name in ("state1", "state2") and parameter.numel() >= PAGED_FROM_ELEMENTS
            if not (paged and pageable):
                kept.append(value)
    return kept


def create_states(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Step once with zero gradients, so that the optimizer's states exist as they do later."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
