"""A model's tensors on a device: fake, or real and random, 4-bit and 8-bit ones included."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import torch
from torch import nn
from torch._guards import detect_fake_mode

from labs_lib.memory.tensors import own_parameters, statistics_of
from labs_lib.step.adapters import is_adapter_tensor


def materialize(model: nn.Module, device: str = "cpu") -> None:
    """Replace each meta parameter and buffer by a tensor on `device`, shared ones once.

    Under FakeTensorMode the tensors are fake; otherwise they are real and random, and 4-bit
    matrices go through bitsandbytes' own quantization, once for each shape: layers repeat.
    """
    made: dict[int, Any] = {}
    packed: dict[torch.Size, Any] = {}
    for module in model.modules():
        # Some classes hold a constant as a plain attribute, neither parameter nor buffer.
        held: Any = module  # torch has public readers of these tables, and no writer for plain ones
        # PEFT keeps the numbers of a prompt's places in a dictionary, by the adapter's name.
        inner: list[Any] = [
            value for key, value in vars(module).items() if type(value) is dict and key[0] != "_"
        ]
        for store in (held._parameters, held._buffers, vars(module), *inner):
            for name, tensor in list(store.items()):
                if not isinstance(tensor, torch.Tensor):
                    continue
                if id(tensor) not in made:
                    # The old tensor is kept too: its id must not be used again meanwhile.
                    made[id(tensor)] = (tensor, _tensor_like(module, name, tensor, device, packed))
                store[name] = made[id(tensor)][1]


def _tensor_like(
    module: nn.Module,
    name: str,
    tensor: torch.Tensor,
    device: str,
    packed: dict[torch.Size, Any],
) -> torch.Tensor:
    bnb: Any = importlib.import_module("bitsandbytes")

    fake = detect_fake_mode() is not None
    if name == "weight" and isinstance(module, bnb.nn.Linear4bit):
        if fake:
            return _fake_4bit(module, tensor)
        if tensor.shape not in packed:
            packed[tensor.shape] = _real_4bit(module, tensor, device)
        return _copied_4bit(packed[tensor.shape], module)
    if name == "weight" and isinstance(module, bnb.nn.Linear8bitLt):
        return _packed_8bit(module, tensor, device)
    made = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    if not fake:  # whole numbers are positions and the like, where only small ones are legal
        made = made.normal_(std=0.02) if tensor.is_floating_point() else made.zero_()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made


def _real_4bit(module: Any, tensor: torch.Tensor, device: str) -> torch.Tensor:
    bnb: Any = importlib.import_module("bitsandbytes")

    weight = torch.randn(tensor.shape, dtype=module.compute_dtype) * 0.02
    quantized = bnb.nn.Params4bit(
        weight,
        requires_grad=False,
        compress_statistics=module.weight.compress_statistics,
        quant_type=module.weight.quant_type,
    )
    return quantized.to(device)


def _copied_4bit(packed: Any, module: Any) -> torch.Tensor:
    copied = copy.deepcopy(packed)
    copied.module = module
    module.quant_state = copied.quant_state
    return copied


def _fake_4bit(module: Any, tensor: torch.Tensor) -> nn.Parameter:
    # The tensors that bitsandbytes' quantize_4bit returns: half a byte a weight, one absmax for
    # 64, and with double quantization the absmax in 8 bits with an fp32 one for 256 of them.
    from bitsandbytes.functional import QuantState

    blocks = -(-tensor.numel() // 64)
    absmax = torch.empty(blocks, dtype=torch.float32)
    offset, state2 = None, None
    if module.weight.compress_statistics:
        absmax, offset = torch.empty(blocks, dtype=torch.uint8), torch.empty(())
        state2 = QuantState(
            absmax=torch.empty(-(-blocks // 256)),
            code=torch.empty(256),
            blocksize=256,
            dtype=torch.float32,
        )
    packed = nn.Parameter(
        torch.empty((tensor.numel() + 1) // 2, 1, dtype=torch.uint8), requires_grad=False
    )
    module.quant_state = packed.quant_state = QuantState(  # type: ignore[attr-defined]
        absmax=absmax,
        shape=torch.Size(tensor.shape),
        code=torch.empty(16),
        blocksize=64,
        quant_type=module.weight.quant_type,
        dtype=module.compute_dtype,
        offset=offset,
        state2=state2,
    )
    return packed


def _packed_8bit(module: Any, tensor: torch.Tensor, device: str) -> nn.Parameter:
    scales = torch.ones(tensor.shape[0], dtype=torch.float32, device=device)
    rows = torch.zeros(tensor.shape, dtype=torch.int8, device=device)
    packed = nn.Parameter(rows, requires_grad=False)
    packed.CB = packed.SCB = None  # type: ignore[attr-defined]
    module.state.CB, module.state.SCB = packed.data, scales
    return packed


def weights_of(model: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return (tensors of the base model, adapter parameters), statistics of 4-bit included."""
    base: list[torch.Tensor] = list(model.buffers())
    adapter: list[torch.Tensor] = []
    adapted = any(is_adapter_tensor(name) for name, _ in model.named_parameters())
    for module in model.modules():
        for parameter in own_parameters(module).values():
            (adapter if adapted and parameter.requires_grad else base).append(parameter)
            base.extend(statistics_of(getattr(parameter, "quant_state", None)))
        state = getattr(module, "state", None)
        scale = getattr(state, "SCB", None)
        if isinstance(scale, torch.Tensor):
            base.append(scale)
    return base, adapter
