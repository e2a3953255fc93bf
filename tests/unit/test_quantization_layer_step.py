"""A QLoRA step through one layer: its bytes are those of tensors that PyTorch keeps."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from labs_lib.errors import LabError
from labs_lib.quantization import LayerShape, Linear4bit, layer_step, quantize, stored_bytes
from labs_lib.quantization.layer_step import CHECKPOINTED, PLAIN, TENSORS, nf4_bytes
from labs_lib.training import LiveBytes

SHAPE = LayerShape(tokens=48, width=128, inner=320, rank=4)


class AdaptedMLP(torch.nn.Module):
    """Two frozen 4-bit maps with an adapter each, written out."""

    A_up: torch.nn.Parameter
    B_up: torch.nn.Parameter
    A_down: torch.nn.Parameter
    B_down: torch.nn.Parameter

    def __init__(self, shape: LayerShape):
        super().__init__()
        draw = torch.Generator().manual_seed(0)

        def matrix(rows: int, columns: int) -> torch.Tensor:
            return torch.randn(rows, columns, generator=draw).bfloat16()

        self.up = Linear4bit(quantize(matrix(shape.inner, shape.width), double_quant=True))
        self.down = Linear4bit(quantize(matrix(shape.width, shape.inner), double_quant=True))
        for name in ("A_up", "B_up", "A_down", "B_down"):
            rows, columns = (getattr(shape, size) for size in TENSORS[name].shape)
            setattr(self, name, torch.nn.Parameter(matrix(rows, columns)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.up(x) + x @ self.A_up.T @ self.B_up.T
        s = torch.nn.functional.silu(u)
        return self.down(s) + s @ self.A_down.T @ self.B_down.T


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_waits_between_the_passes_is_what_pytorch_keeps(checkpointing):
    layer = AdaptedMLP(SHAPE)
    step = layer_step(SHAPE, checkpointing)
    source = torch.randn(SHAPE.tokens, SHAPE.width).bfloat16().requires_grad_()
    layer(source)  # bitsandbytes makes its code book once
    with LiveBytes() as counter:
        x = source * 1  # made by the layer below
        y = checkpoint(layer, x, use_reentrant=False) if checkpointing else layer(x)
        kept = counter.live_bytes - y.nbytes
    # Checkpointing keeps the state of the random generator too: a few KB.
    assert step.kept_bytes <= kept < step.kept_bytes + 8192 * checkpointing + 1


@pytest.mark.parametrize("checkpointing", [False, True])
def test_weights_are_restored_as_often_as_pytorch_restores_them(checkpointing, monkeypatch):
    from labs_lib.quantization import linear

    calls = []
    restore = linear.dequantize
    monkeypatch.setattr(
        linear, "dequantize", lambda weight, *rest: calls.append(weight) or restore(weight, *rest)
    )
    layer = AdaptedMLP(SHAPE)
    x = torch.randn(SHAPE.tokens, SHAPE.width).bfloat16().requires_grad_()
    y = checkpoint(layer, x, use_reentrant=False) if checkpointing else layer(x)
    y.sum().backward()
    step = layer_step(SHAPE, checkpointing)
    assert len(calls) == step.times_restored("W_up") + step.times_restored("W_down")
    assert step.times_restored() == (3 if checkpointing else 2)


def test_the_layer_s_own_bytes_are_those_of_its_tensors():
    layer = AdaptedMLP(SHAPE)
    for name, module in (("W_up", layer.up), ("W_down", layer.down)):
        assert TENSORS[name].bytes_in(SHAPE) == stored_bytes(module.quantized).total_bytes
    for name, parameter in layer.named_parameters():
        assert TENSORS[name].bytes_in(SHAPE) == parameter.nbytes
        assert TENSORS[f"m_{name}"].bytes_in(SHAPE) == 2 * 4 * parameter.numel()


@pytest.mark.parametrize("rows", [1, 3, 64, 257])
def test_bytes_in_nf4_are_counted_to_the_block(rows):
    weight = torch.randn(rows, 70)
    assert (
        nf4_bytes(weight.numel()) == stored_bytes(quantize(weight, double_quant=True)).total_bytes
    )


def test_checkpointing_lowers_what_waits_and_not_the_peak_of_one_layer():
    plain, again = layer_step(), layer_step(checkpointing=True)
    assert again.kept_bytes < plain.kept_bytes / 6
    assert max(again.totals) > max(plain.totals)


def test_a_copy_lives_in_its_own_moment_alone_and_gradients_are_the_adapter_s():
    for moments in (PLAIN, CHECKPOINTED):
        for moment in moments:
            copies = [name for name in moment.live if TENSORS[name].role == "copy"]
            assert copies == ([f"{moment.restored}_16"] if moment.restored else [])
            assert set(moment.live) <= set(TENSORS)
        assert {name for name in moments[-1].live if TENSORS[name].role == "gradients"} == {
            "g_A_up", "g_B_up", "g_A_down", "g_B_down",
        }  # fmt: skip


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "many"])
def test_a_size_is_a_whole_number_from_1_up(value):
    with pytest.raises(LabError, match=r"tokens: .* is no whole number from 1 up"):
        LayerShape(tokens=value)
