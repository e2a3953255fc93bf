"""Bits per parameter: the formula, our tensors, and what bitsandbytes allocates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit as BnbLinear4bit
from bitsandbytes.nn.modules import Params4bit
from torch import nn

from labs_lib.errors import LabError
from labs_lib.quantization import (
    Linear4bit,
    bits_per_parameter,
    model_stored_bytes,
    quantize,
    stored_bytes,
)


def params4bit(weight: torch.Tensor, double_quant: bool) -> Any:
    make: Any = Params4bit
    return make(weight, quant_type="nf4", compress_statistics=double_quant).to("cpu")


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("shape", [(576, 576), (192, 576), (33, 65)])
def test_bytes_equal_what_bitsandbytes_allocates(double_quant, shape):
    weight = torch.randn(shape, generator=torch.manual_seed(0))
    ours = stored_bytes(quantize(weight, "nf4", 64, double_quant))
    theirs = stored_bytes(params4bit(weight, double_quant))
    assert ours.parameters == theirs.parameters == weight.numel()
    assert ours.packed_bytes == theirs.packed_bytes
    assert ours.scale_bytes == theirs.scale_bytes
    assert (ours.codebook_bytes, theirs.codebook_bytes) == (0, 1088 if double_quant else 64)
    # Summed over the state's own dictionary, so that no tensor is left out of the count.
    state = params4bit(weight, double_quant).quant_state
    listed = [t for t in state.as_dict().values() if isinstance(t, torch.Tensor)]
    offset_bytes = 4 if double_quant else 0  # listed there as a plain number
    total = theirs.packed_bytes + sum(t.nbytes for t in listed) + offset_bytes
    assert theirs.total_bytes == total


def test_formula_at_the_block_of_qlora():
    assert bits_per_parameter(64) == 4.5
    assert bits_per_parameter(64, double_quant=True) == pytest.approx(4.127, abs=5e-4)
    assert bits_per_parameter(32) == 5.0


@pytest.mark.parametrize("block_size", [32, 64, 256, 4096])
@pytest.mark.parametrize("double_quant", [False, True])
def test_formula_equals_the_count_on_a_large_tensor(block_size, double_quant):
    quantized = quantize(torch.randn(1024, 1024), "nf4", block_size, double_quant)
    counted = stored_bytes(quantized).bits_per_parameter
    offset_bits = 32 / 1024**2 if double_quant else 0
    assert counted == pytest.approx(bits_per_parameter(block_size, double_quant) + offset_bits)


def test_leaving_the_scales_out_is_a_different_number():
    quantized = stored_bytes(quantize(torch.randn(64, 64)))
    assert 8 * quantized.packed_bytes / quantized.parameters == 4
    assert quantized.bits_per_parameter == 4.5


def test_a_model_is_counted_once_ours_and_bitsandbytes_alike():
    linear = nn.Linear(128, 64)
    norm = nn.LayerNorm(64)
    ours = nn.Sequential(Linear4bit.from_linear(linear), norm)
    reference = BnbLinear4bit(128, 64, quant_type="nf4")
    reference.load_state_dict(linear.state_dict())
    theirs = nn.Sequential(reference.to("cpu"), norm)
    counted, rest = model_stored_bytes(ours)
    bnb_counted, bnb_rest = model_stored_bytes(theirs)
    assert counted.parameters == bnb_counted.parameters == 128 * 64
    assert counted.total_bytes + 1088 == bnb_counted.total_bytes
    assert rest == bnb_rest == 4 * 64 * 3


def test_a_weight_that_is_not_quantized_is_refused():
    with pytest.raises(LabError, match="not quantized to 4 bits"):
        stored_bytes(nn.Parameter(torch.ones(2)))


def test_bitsandbytes_bits_per_parameter_as_measured():
    weight = torch.randn(1536, 576)
    plain, double = (stored_bytes(params4bit(weight, dq)) for dq in (False, True))
    assert plain.bits_per_parameter == pytest.approx(4.5, abs=1e-3)
    assert double.bits_per_parameter == pytest.approx(4.127, abs=0.012)
