"""The one way into evaluation and out of it again, for every caller of the course."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from labs_lib.quantization import refuse_repacked, restored_weights
from labs_lib.training.engine.folding import folded_in


@contextmanager
def evaluating(model: Any, fold: bool = False) -> Iterator[None]:
    """Let a model answer inside the block; afterwards it trains on as if nothing had been asked.

    Inside, the model is `in_evaluation_mode`, and 4-bit weights on a CPU are restored once instead
    of at every token. `fold` also folds an fp32 adapter into its base (see `folded_in`: for a
    model that is thrown away next, or untrained). Afterwards the weights too are what they were,
    so a step's gradient is the same with and without an evaluation before it. Raises `LabError`
    for a model whose 4-bit weights bitsandbytes has already repacked.
    """
    with in_evaluation_mode(model), restored_weights(model), folded_in(model, fold):
        yield


@contextmanager
def in_evaluation_mode(model: Any) -> Iterator[None]:
    """Have no dropout and recompute nothing inside the block; modes are then what they were.

    Raises `LabError` for a model whose 4-bit weights bitsandbytes has already repacked.
    """
    refuse_repacked(model)
    modes = [(module, module.training) for module in model.modules()]
    checkpointed = [module for module in model.modules() if _is_checkpointed(module)]
    model.eval()
    for module in checkpointed:
        module.gradient_checkpointing = False
    try:
        yield
    finally:
        for module in checkpointed:
            module.gradient_checkpointing = True
        for module, training in modes:
            module.training = training


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave torch's random state after the block as it was before: the CPU's and the GPU's in use.

    By itself `fork_rng` visits every GPU of the machine, and takes memory on each.
    """
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=gpus):
        yield


def _is_checkpointed(module: Any) -> bool:
    return getattr(module, "gradient_checkpointing", False) is True
