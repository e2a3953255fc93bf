"""What ends a training run early: a loss that is no number, a full disk, too little memory."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback
from typing_extensions import override

from labs_lib.errors import LabError, last_line
from labs_lib.files import NotWrittenError, friendly_os_errors
from labs_lib.training.processes.tensors import whole

if TYPE_CHECKING:
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.recipe import Recipe


class DivergedError(LabError):
    """A run whose loss, gradient or weights stopped being finite at `step`.

    `before` is the base model's evaluation, where the run came so far, and `trainable_parameters`
    what was trained; a comparison or a sweep records the arm as diverged and goes on.
    """

    before: Evaluation | None = None
    trainable_parameters: int = 0

    def __init__(self, recipe: Recipe, step: int, what: str):
        self.recipe, self.step = recipe, step
        rate = recipe.learning_rate
        super().__init__(
            f"learning_rate: {rate:g} let the training diverge: {what} at step {step}; "
            f"give a lower one, such as {rate / 10:g}"
        )


class StopWhenDiverged(TrainerCallback):
    """End the run at the first step whose loss or gradient is not finite.

    It is told before the step's checkpoint is written, so every checkpoint is of finite steps.
    """

    def __init__(self, recipe: Recipe):
        self._recipe = recipe

    @override
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Look at the step just logged; evaluations are not steps."""
        for name, words in (("loss", "the loss is"), ("grad_norm", "the gradient's norm is")):
            value = (logs or {}).get(name) if "loss" in (logs or {}) else None
            if value is not None and not math.isfinite(value):
                raise DivergedError(self._recipe, state.global_step, f"{words} {float(value)}")


def check_finite_weights(model: Any, recipe: Recipe, step: int) -> None:
    """Raise `DivergedError` where a weight that was trained is no finite number."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(whole(parameter.detach())).all()):
            raise DivergedError(
                recipe, step, f"{name.rpartition('.default')[0] or name} is not finite"
            )


@contextmanager
def storage_errors(path: Path, remark: str = "") -> Iterator[None]:
    """Turn what the libraries raise on a full disk into `NotWrittenError`, with a remark.

    torch and safetensors write files by themselves and raise errors of their own kinds.
    """
    try:
        with friendly_os_errors(path):
            yield
    except (RuntimeError, SafetensorError) as error:
        if not _is_about_writing(error):
            raise
        raise NotWrittenError(path, last_line(error), remark) from error
    except NotWrittenError as error:
        raise NotWrittenError(error.path, error.reason, remark) from error.__cause__


def _is_about_writing(error: Exception) -> bool:
    text = str(error)
    signs = ("PytorchStreamWriter", "inline_container", "file write failed", "while serializing")
    return any(sign in text for sign in signs) and "PytorchStreamReader" not in text


# What the driver and NVIDIA's libraries say, which allocate past torch.
_OF_GPUS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or in the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    signs = ("DefaultCPUAllocator", "not enough memory", "out of memory", *_OF_GPUS)
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def ran_out_on_gpu(error: BaseException) -> bool:
    """Return whether the memory that ran out is a GPU's."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _OF_GPUS)


def free_memory() -> None:
    """Let go of what a failed run held; its trainer and model refer to each other."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
