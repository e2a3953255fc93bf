"""bitsandbytes' kernels against the course's own NF4, and its paged optimizer under pressure."""

from __future__ import annotations

import sys

import pytest
import torch
from card_trials import kernels_on, nearly_full, product_errors, stepped

MIB = 2**20


@pytest.mark.parametrize("double_quant", [False, True], ids=["absmax", "double"])
@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
def test_codes_scales_and_values_are_the_courses(quant_type: str, double_quant: bool):
    found = kernels_on("cuda", quant_type, double_quant)
    # A weight just between two codes may go either way: the kernel divides where we multiply.
    assert found.same_codes > 0.999
    assert found.absmax_error < (0.01 if double_quant else 1e-6)
    assert found.value_error < (0.01 if double_quant else 1e-6)


@pytest.mark.parametrize("tokens", [1, 8, 64, 2048])
def test_a_layer_computes_the_restored_weights_product(tokens: int):
    product, gradient = product_errors("cuda", tokens)
    assert product < 0.01
    assert gradient < 0.01


# A million elements of state are 8 MB: 64 of them do not fit where 128 MiB are free.
MILLIONS, SPARE = 64, 128 * MIB


def test_unpaged_states_do_not_fit_where_memory_is_short():
    with pytest.raises(torch.OutOfMemoryError):
        stepped("cuda", False, MILLIONS, nearly_full(SPARE))


@pytest.mark.skipif(sys.platform != "linux", reason="Windows' driver pages less than is asked for")
def test_paged_states_step_where_memory_is_short():
    expected = stepped("cuda", False, MILLIONS)
    found = stepped("cuda", True, MILLIONS, nearly_full(SPARE))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
