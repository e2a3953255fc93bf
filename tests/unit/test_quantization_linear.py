"""The 4-bit layer from scratch: equal to bitsandbytes', frozen, and keeping no copy."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit as BnbLinear4bit
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from labs_lib.errors import LabError
from labs_lib.quantization import Linear4bit, dequantize, quantize, replace_linear_layers


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of storages made inside the block that are still alive."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def layers(
    dtype: torch.dtype, quant_type: str = "nf4", double_quant: bool = True, bias: bool = True
) -> tuple[Linear4bit, BnbLinear4bit]:
    torch.manual_seed(0)
    linear = nn.Linear(192, 320, bias=bias).to(dtype)
    ours = Linear4bit.from_linear(linear, quant_type, double_quant)
    theirs = BnbLinear4bit(
        192, 320, bias=bias, quant_type=quant_type, compress_statistics=double_quant
    ).to(dtype)
    theirs.load_state_dict(linear.state_dict())
    return ours, theirs.to("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_output_and_gradient_equal_bitsandbytes(dtype, quant_type, double_quant, bias):
    ours, theirs = layers(dtype, quant_type, double_quant, bias)
    x = torch.randn(2, 5, 192).to(dtype)
    out = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        (y.float() ** 2).sum().backward()
        out.append((y, leaf.grad))
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(out[0][0], out[1][0], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(out[0][1], out[1][1], rtol=tolerance, atol=10 * tolerance)


def test_the_base_gets_no_gradient_and_the_optimizer_sees_nothing():
    ours, _ = layers(torch.float32)
    assert [p for p in ours.parameters() if p.requires_grad] == []
    y = ours(torch.randn(3, 192, requires_grad=True))
    y.sum().backward()
    assert all(buffer.grad is None for buffer in ours.buffers())
    assert ours.bias is not None
    assert ours.bias.grad is None


def test_gradient_is_that_of_the_dequantized_weight():
    ours, _ = layers(torch.float32)
    x = torch.randn(4, 192, requires_grad=True)
    gradient = torch.randn(4, 320)
    ours(x).backward(gradient)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, gradient @ dequantize(ours.quantized))


def kept_between_passes(layer: nn.Module, x: torch.Tensor) -> tuple[int, int, int]:
    """Return (bytes kept after forward, bytes of the output, peak) in bytes."""
    with LiveBytes() as counter:
        layer(x)  # once, so that what the layer owns and cached code books are known
        gc.collect()
        owned = counter.live
        counter.peak = owned
        y = layer(x)
        gc.collect()
        return counter.live - owned, y.nbytes, counter.peak - owned


@pytest.mark.seconds
def test_no_16_bit_copy_is_kept_for_the_backward_pass():
    torch.manual_seed(0)
    linear = nn.Linear(1024, 1024, bias=False).bfloat16()
    layer = Linear4bit.from_linear(linear)
    x = torch.randn(8, 1024, dtype=torch.bfloat16, requires_grad=True)
    kept, output, peak = kept_between_passes(layer, x)
    copy_bytes = 1024 * 1024 * 2
    assert peak >= copy_bytes, "the counter must see the de-quantized weight while it is there"
    assert kept == output

    class Keeping(nn.Module):  # the mistake: autograd remembers the de-quantized weight
        def forward(self, x):
            return x @ dequantize(layer.quantized).T

    kept_by_mistake, _, _ = kept_between_passes(Keeping(), x)
    assert kept_by_mistake >= copy_bytes


def test_compute_dtype_is_used_and_the_dtype_of_x_comes_back():
    linear = nn.Linear(64, 8)
    layer = Linear4bit.from_linear(linear, compute_dtype=torch.bfloat16)
    x = torch.randn(2, 64)
    y = layer(x)
    assert y.dtype == torch.float32
    weight = dequantize(layer.quantized, torch.bfloat16)
    expected = (x.bfloat16() @ weight.T + linear.bias.bfloat16()).float()
    assert torch.equal(y, expected)


def test_casting_the_model_leaves_the_scales_in_fp32():
    for double_quant in (False, True):
        layer = Linear4bit.from_linear(nn.Linear(64, 64), double_quant=double_quant)
        before = layer.quantized.scales.clone()
        layer.to(torch.bfloat16)
        assert torch.equal(layer.quantized.scales, before)
        assert layer.bias is not None
        assert layer.bias.dtype == torch.bfloat16


def test_state_dict_and_copy_carry_the_weight():
    layer = Linear4bit.from_linear(nn.Linear(64, 32))
    other = Linear4bit.from_linear(nn.Linear(64, 32))
    x = torch.randn(3, 64)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_replacing_layers_leaves_the_output_layer_and_says_which():
    model = nn.ModuleDict(
        {"block": nn.Sequential(nn.Linear(64, 64), nn.ReLU()), "lm_head": nn.Linear(64, 10)}
    )
    assert replace_linear_layers(model) == ["block.0"]
    assert isinstance(model.get_submodule("block.0"), Linear4bit)
    assert type(model["lm_head"]) is nn.Linear


def test_bad_shapes_and_settings_are_refused_in_one_line():
    with pytest.raises(LabError, match=r"weight: shape \(64,\) is not \(d_out, d_in\)"):
        Linear4bit(quantize(torch.randn(64)))
    with pytest.raises(LabError, match=r"x: last dimension 5 is not in_features 64"):
        Linear4bit.from_linear(nn.Linear(64, 8))(torch.randn(2, 5))
    with pytest.raises(LabError, match=r"block_size: 100 is not a power of two"):
        Linear4bit.from_linear(nn.Linear(64, 8), block_size=100)
