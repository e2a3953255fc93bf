"""What a step takes at the least, where its real code cannot be run on shapes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator
from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.result import format_bytes
from labs_lib.step.optimizers import OPTIMIZERS


class NotRunError(LabError):
    """An operation of the model's code does not run on shapes; the text says which, and where."""


@contextlib.contextmanager
def bounded_below(config: Any, request: MemoryRequest) -> Generator[None, None, None]:
    """Add the lower bound of the whole model's step to a `NotRunError` that the block raises."""
    try:
        yield
    except NotRunError as error:
        least = lower_bound(config, request)
        raise LabError(
            f"{error}; the formula's lower bound is {format_bytes(least)}: weights, adapter, "
            "gradients and optimizer states, without activations"
        ) from error


def lower_bound(config: Any, request: MemoryRequest) -> int:
    """Return the bytes of weights, adapter, gradients and resident optimizer states."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from labs_lib.memory.building import meta_model
    from labs_lib.memory.placing import materialize, weights_of
    from labs_lib.memory.tensors import storage_bytes

    model = meta_model(config, request)
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = sum(p.numel() * p.element_size() for p in trained)
    groups = list(Counter(tuple(p.shape) for p in trained).items())
    itemsize = trained[0].element_size()
    with FakeTensorMode():
        materialize(model)
        base, adapter = weights_of(model)
        held = storage_bytes([*base, *adapter])
    optimizer = OPTIMIZERS[request.optimizer]
    return held + gradients + optimizer.state_bytes(groups, itemsize, request.device)[1]
