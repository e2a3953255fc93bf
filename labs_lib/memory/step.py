"""One real training step under a recorder: forward, backward, optimizer.

`run_step` is the same for fake and for real tensors; the other modules here build what it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from labs_lib.errors import LabError
from labs_lib.memory.recorder import StepRecorder
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.stacks import main_stack, stacks_of
from labs_lib.memory.tensors import named_modules


def run_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    request: MemoryRequest,
    inputs: dict[str, torch.Tensor],
    recorder: StepRecorder | None = None,
) -> None:
    """Run the forward and backward passes of up to two micro-batches, then the optimizer.

    Two micro-batches show all that accumulation does: later ones repeat the second.
    """

    def mark(*moment: str) -> None:
        if recorder:
            recorder.mark(*moment)

    hooks = _watch(model, recorder) if recorder else []
    device = next(iter(inputs.values())).device.type
    for micro in range(min(2, request.accumulation)):
        mark("forward", "embedding", str(micro))
        with arithmetic(request, device):
            loss = getattr(model(**inputs), "loss", None)
        if loss is None:
            raise LabError(f"model: {type(model).__name__} returns no loss for its labels")
        mark("forward", "loss", str(micro))
        mark("backward", "head", str(micro))
        loss.backward()
        del loss
    mark("step", "optimizer", "0")
    optimizer.step()
    for hook in hooks:
        hook.remove()
    mark("step", "end", "0")
    optimizer.zero_grad(set_to_none=True)
    mark("after", "step", "0")


def arithmetic(request: MemoryRequest, device: str) -> Any:
    """Return the context of the request's products on tensors of this device ("cpu" for fakes)."""
    if request.precision == "mixed":
        return torch.autocast(device, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _watch(model: nn.Module, recorder: StepRecorder) -> list[Any]:
    hooks: list[Any] = []

    def entering(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any) -> None:
            recorder.module_stack.append(name)
            recorder.entered.add(name)

        return hook

    def leaving(_module: nn.Module, _args: Any, _output: Any) -> None:
        if recorder.module_stack:
            recorder.module_stack.pop()

    for name, module in named_modules(model):
        hooks.append(module.register_forward_pre_hook(entering(name)))
        # Checkpointing ends a recomputation by an exception: leave all the same.
        hooks.append(module.register_forward_hook(leaving, always_call=True))
    main = main_stack(model).layers
    for stack in stacks_of(model):
        is_main = stack.layers is main
        kind = "layer" if is_main else f"{_kind(stack.path)} layer"
        for index, layer in enumerate(stack.layers):
            moments = _LayerMoments(
                recorder, f"{kind} {index}", is_main and index == 0, layer is main[-1]
            )
            hooks.append(layer.register_forward_pre_hook(moments.entered, with_kwargs=True))
            hooks.append(layer.register_forward_hook(moments.left, always_call=True))
    return hooks + _labels_of_gradients(model, recorder)


def _labels_of_gradients(model: nn.Module, recorder: StepRecorder) -> list[Any]:
    def label(parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            recorder.label(parameter.grad, "gradients")

    return on_gradients((p for p in model.parameters() if p.requires_grad), label)


def on_gradients(
    parameters: Iterable[torch.Tensor], then: Callable[[torch.Tensor], None]
) -> list[Any]:
    """Call `then` with each parameter whose gradient has been made; return the hooks."""
    return [_untyped(each).register_post_accumulate_grad_hook(then) for each in parameters]


def idle_stacks(model: nn.Module, recorder: StepRecorder) -> tuple[str, ...]:
    """Return the names of the stacks that the step never entered, such as a vision tower's."""
    return tuple(
        stack.path.removeprefix("base_model.model.")
        for stack in stacks_of(model)
        if not any(name.startswith(f"{stack.path}.") for name in recorder.entered)
    )


def _kind(path: str) -> str:
    """Name a stack beside the main one: "encoder", "vision tower", or the list's own name."""
    parts = [part.replace("_", " ") for part in path.split(".")]
    telling = [p for p in parts if any(word in p for word in ("encoder", "vision", "audio"))]
    return telling[0] if telling else parts[-1]


class _LayerMoments:
    """Marks when one layer's turn begins, forward and backward."""

    def __init__(self, recorder: StepRecorder, name: str, is_first: bool, is_last: bool):
        self.recorder, self.name = recorder, name
        self.is_first, self.is_last = is_first, is_last

    def entered(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        phase, _, micro = self.recorder.moments[-1]
        if phase != "forward":  # a checkpointed layer running again
            return
        if self.is_first:
            begins = args or kwargs.get("hidden_states")
            _on_gradient(begins, lambda: self.recorder.mark("backward", "embedding", micro))
        self.recorder.mark("forward", self.name, micro)

    def left(self, _module: nn.Module, _args: Any, output: Any) -> None:
        phase, _, micro = self.recorder.moments[-1]
        if phase != "forward":
            self.recorder.recomputed()
            return
        _on_gradient(output, lambda: self.recorder.mark("backward", self.name, micro))
        if self.is_last:
            self.recorder.mark("forward", "head", micro)


def _on_gradient(outputs: Any, then: Any) -> None:
    tensor = outputs[0] if _has_several(outputs) else outputs
    if isinstance(tensor, torch.Tensor) and tensor.requires_grad:

        def told(_: torch.Tensor) -> None:
            then()

        _untyped(tensor).register_hook(told)


def _has_several(outputs: Any) -> bool:
    return isinstance(outputs, tuple) and outputs != ()


def _untyped(tensor: torch.Tensor) -> Any:
    # torch leaves the types out of its hooks.
    return tensor
