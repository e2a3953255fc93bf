"""Errors of 4-bit weights: against a definition, and the trends that the lesson states."""

from __future__ import annotations

import pytest
import torch

from labs_lib.quantization import (
    code_usage,
    dequantize,
    outlier_effect,
    quantization_error,
    quantize,
    with_outlier,
)


@pytest.fixture
def weight() -> torch.Tensor:
    return 0.02 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0))


def test_the_error_is_what_its_definition_says(weight):
    error = quantization_error(weight, "fp4", 128)
    difference = dequantize(quantize(weight, "fp4", 128)) - weight
    assert error.rmse == pytest.approx(difference.pow(2).mean().sqrt().item(), rel=1e-5)
    relative = (difference.norm() / weight.norm()).item()
    assert error.relative == pytest.approx(relative, rel=1e-5)
    assert error.max_error == difference.abs().max().item()
    assert error.bits_per_parameter == 4 + 32 / 128


def test_on_normal_weights_nf4_beats_int4_beats_fp4(weight):
    relative = {q: quantization_error(weight, q).relative for q in ("nf4", "int4", "fp4")}
    assert relative["nf4"] * 1.1 < relative["int4"]
    assert relative["int4"] * 1.1 < relative["fp4"]


def test_smaller_blocks_err_less_and_cost_more(weight):
    errors = [quantization_error(weight, "nf4", size) for size in (32, 64, 256, 4096)]
    assert [e.relative for e in errors] == sorted(e.relative for e in errors)
    assert [e.bits_per_parameter for e in errors] == [5.0, 4.5, 4.125, 4.0078125]


def test_double_quantization_saves_bits_for_next_to_no_error(weight):
    plain, double = (quantization_error(weight, "nf4", 64, dq) for dq in (False, True))
    assert double.bits_per_parameter < plain.bits_per_parameter - 0.36
    assert double.relative < plain.relative * 1.01


def test_an_all_zero_weight_has_no_error():
    error = quantization_error(torch.zeros(64))
    assert (error.rmse, error.relative, error.max_error) == (0, 0, 0)


def test_an_outlier_costs_its_block_only(weight):
    effect = {size: (without, with_) for size, without, with_ in outlier_effect(weight, 50)}
    assert effect[32][1] < effect[32][0] * 1.2
    assert effect[4096][1] > effect[4096][0] * 1.5
    extra = [with_ - without for without, with_ in effect.values()]
    assert extra == sorted(extra)


def test_with_outlier_changes_one_value_of_a_copy(weight):
    before = weight.clone()
    changed = with_outlier(weight, 30)
    assert torch.equal(weight, before)
    assert (changed != weight).sum() == 1
    assert changed.max().item() == pytest.approx(30 * weight.std().item())
    assert torch.equal(with_outlier(weight, 0), weight)


def test_code_usage_counts_codes():
    usage = code_usage(torch.tensor([1.0, -1.0, 0.0, 0.0]))
    assert usage[[0, 7, 15]].tolist() == [0.25, 0.5, 0.25]
    assert usage.sum().item() == 1
