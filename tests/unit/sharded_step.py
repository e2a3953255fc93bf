"""One real training step in each of two processes on the CPU; rank 0 prints its bytes as JSON.

torch's profiler reports what the CPU allocator gives and takes back. Gloo makes buffers of its own
inside a collective and frees them in threads that the profiler does not see, so FSDP2 is given
collectives of sends and receives, whose own buffers are not torch's.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.profiler import ProfilerActivity, profile

from labs_lib.memory import building, optimizers, placing
from labs_lib.memory.architecture import config_of
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.stacks import main_stack
from labs_lib.memory.tensors import own_buffers, statistics_of


class _Exchange:
    """What FSDP2 calls in place of a collective of gloo's; two processes."""

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def swap(self, mine: torch.Tensor, theirs: torch.Tensor) -> None:
        other = 1 - dist.get_rank()
        waiting = [dist.isend(_plain(mine), other), dist.irecv(_plain(theirs), other)]
        for each in waiting:
            assert each is not None
            each.wait()


class _Gather(_Exchange):
    def __call__(self, output_tensor: Any, input_tensor: Any, group: Any, async_op: bool = False):
        del group, async_op
        halves = output_tensor.chunk(2)
        halves[dist.get_rank()].copy_(input_tensor)
        self.swap(input_tensor, halves[1 - dist.get_rank()])


class _Scatter(_Exchange):
    def __call__(self, output_tensor: Any, input_tensor: Any, group: Any, op: Any, async_op=False):
        del group, op, async_op
        halves = input_tensor.chunk(2)
        memory = np.empty(output_tensor.numel() * output_tensor.element_size(), dtype=np.uint8)
        theirs = torch.from_numpy(memory).view(output_tensor.dtype)
        self.swap(halves[1 - dist.get_rank()], theirs)
        output_tensor.copy_(halves[dist.get_rank()]).add_(theirs).div_(2)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.uint8)


def _size_of(tensors: Iterable[Any]) -> int:
    local = [each.to_local() if hasattr(each, "to_local") else each for each in tensors]
    return sum(each.numel() * each.element_size() for each in local)


def _held(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    tensors: list[Any] = list(model.parameters())
    for module in model.modules():
        tensors += own_buffers(module).values()
        tensors += statistics_of(getattr(module, "quant_state", None))
    states = optimizer.state.values()
    return _size_of(tensors + [v for s in states for v in s.values() if torch.is_tensor(v)])


def main() -> None:
    """Take three steps and report the last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("request")
    parser.add_argument("strategy", choices=("fsdp", "ddp"))
    given = parser.parse_args()
    request = MemoryRequest.model_validate_json(given.request)
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model: Any = building.meta_model(config_of(request.model, request), request)
    placing.materialize(model)
    whole = net = model
    if given.strategy == "fsdp":
        for unit in [*main_stack(model).layers, model]:
            fully_shard(unit)
            unit.set_custom_all_gather(_Gather())
            unit.set_custom_reduce_scatter(_Scatter())
    else:
        net = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = optimizers.optimizer_of(model, request)
    inputs = building.inputs_of(whole, request)

    def step() -> None:
        net(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    step()  # in which DDP makes its buckets anew, by the order of the first
    gc.collect()
    held = _held(model, optimizer)
    seen: Any = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with seen:
        step()
    reports = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = rise = 0
    for report in sorted(reports, key=lambda each: each.start_ns()):
        live += report.nbytes()
        rise = max(rise, live)
    if given.strategy == "ddp":  # its buckets were made before
        held += _size_of(p for p in model.parameters() if p.requires_grad)
    if dist.get_rank() == 0:
        print(json.dumps({"held": held, "peak": held + rise, "left": live}))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
