"""A model cut up among processes by FSDP2, and put together again to be saved.

The units are those that `memory.sharding` forecasts: each layer, and a root with the embedding, the
head and the last norm. Each process holds 1/n of every parameter of a unit; the unit is gathered
before it is used. torch's `fully_shard` is called directly: accelerate 1.15 leaves its own FSDP2
plugin out on CPUs, without a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from labs_lib.memory.stacks import main_stack
from labs_lib.memory.tensors import own_buffers, statistics_of, storage_bytes
from labs_lib.step.adapters import is_adapter_tensor
from labs_lib.training.folder.checkpoints import NotWholeError
from labs_lib.training.processes.tensors import part_like, put, whole


def cut_up(model: Any, device: str, offload: bool = False) -> None:
    """Leave this process its part of every parameter; `model` may be PEFT's.

    `device` is "cuda" or "cpu". The numbers stay in the dtypes that they are in: one process's
    arithmetic, at twice the traffic of full fine-tuning in bf16.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        CPUOffloadPolicy,
        OffloadPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    count = torch.distributed.get_world_size()
    policy = CPUOffloadPolicy(pin_memory=device == "cuda") if offload else OffloadPolicy()
    how: Any = {"mesh": init_device_mesh(device, (count,)), "offload_policy": policy}
    units = [*main_stack(model).layers, model]
    for unit in units:
        fully_shard(unit, **how)
    for unit in units:
        # What is gathered first while answers are written could pass no gradient on later.
        unit.unshard()
        unit.reshard()
    register_fsdp_forward_method(model, "generate")
    model._is_fsdp_managed_module = True  # by which transformers knows of it


def is_cut_up(model: Any) -> bool:
    """Return whether `cut_up` has been there."""
    return getattr(model, "_is_fsdp_managed_module", False)


def held_bytes(model: Any) -> dict[str, int]:
    """Return the bytes of parameters that this process holds, and of those that all hold alike."""
    alike = [tensor for module in model.modules() for tensor in own_buffers(module).values()]
    for module in model.modules():
        alike += statistics_of(getattr(module, "quant_state", None))
    return {
        "parameter_bytes": storage_bytes(model.parameters()),
        "other_bytes": storage_bytes(alike),
    }


def whole_weights(model: Any) -> dict[str, torch.Tensor] | None:
    """Return the complete tensors of what is trained, by name; None where nothing is cut up.

    Every process must ask; the first one alone keeps them, in the computer's memory.
    """
    if not is_cut_up(model):
        return None
    keeps = torch.distributed.get_rank() == 0
    gathered: dict[int, torch.Tensor] = {}
    weights = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not (tensor.requires_grad or is_adapter_tensor(name)):
            continue
        if id(tensor) not in gathered:  # tied weights stay one tensor
            complete = whole(tensor.detach())
            gathered[id(tensor)] = complete.cpu() if keeps else torch.empty(0)
        weights[name] = gathered[id(tensor)]
    return weights if keeps else {}


def whole_states(optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's `state_dict` with complete tensors, as one process would save it.

    Every process must ask; the first one alone keeps them.
    """
    saved = optimizer.state_dict()
    keeps = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    states = {}
    for number, state in saved["state"].items():
        complete = {name: _whole_state(value) for name, value in state.items()}
        states[number] = complete if keeps else {}
    return {**saved, "state": states}


def _whole_state(value: Any) -> Any:
    return whole(value).cpu() if hasattr(value, "full_tensor") else value


def cut_states(optimizer: Any) -> None:
    """Cut up the states of parameters that are cut up, after complete ones have been read."""
    inner = getattr(optimizer, "optimizer", optimizer)
    for parameter, state in inner.state.items():
        for name, value in state.items():
            if torch.is_tensor(value) and value.shape == parameter.shape and value.dim():
                state[name] = part_like(parameter, value)


def read_weights(model: Any, checkpoint: Path) -> None:
    """Fill a model that is cut up from a checkpoint's complete tensors.

    Raises `NotWholeError` unless each tensor has its place and each place its tensor.
    """
    from peft import PeftModel, get_peft_model_state_dict

    places = model.state_dict(keep_vars=True)
    if isinstance(model, PeftModel):
        places = get_peft_model_state_dict(model, state_dict=places, save_embedding_layers=False)
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        tensors |= load_file(file)
    read = {id(places[name]) for name in tensors if name in places}
    wrong = [name for name in tensors if name not in places]
    wrong += [name for name, place in places.items() if id(place) not in read]
    wrong += [n for n in tensors if n in places and tensors[n].shape != places[n].shape]
    if wrong:
        raise NotWholeError(
            f"{len(wrong)} of its weights do not fit the model (first: {min(wrong)})"
        )
    for name, tensor in tensors.items():
        put(places[name], tensor)
