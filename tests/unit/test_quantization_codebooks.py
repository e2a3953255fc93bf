"""The code books: derived, and equal to the published tables to the bit."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes import functional as bnb

from labs_lib.errors import LabError
from labs_lib.quantization import (
    code_usage,
    codebook,
    decision_boundaries,
    dynamic_codebook,
    fp4_codebook,
    int4_codebook,
    nf4_codebook,
)


def test_nf4_equals_the_published_table_to_the_bit():
    assert torch.equal(nf4_codebook(), bnb.get_4bit_type("nf4", device="cpu"))


def test_fp4_equals_the_published_table_to_the_bit():
    assert torch.equal(fp4_codebook(), bnb.get_4bit_type("fp4", device="cpu"))


def test_dynamic_equals_bitsandbytes_to_the_bit():
    assert torch.equal(dynamic_codebook(), bnb.create_dynamic_map())


def test_int4_is_evenly_spaced_with_an_exact_zero():
    book = int4_codebook()
    assert len(book) == 15
    assert (book[0], book[7], book[14]) == (-1, 0, 1)
    assert torch.allclose(book.diff(), torch.full((14,), 1 / 7), atol=1e-7)


def test_nf4_is_asymmetric_with_an_exact_zero():
    book = nf4_codebook()
    assert (book < 0).sum() == 7
    assert (book > 0).sum() == 8
    assert book[7] == 0
    assert (book[0], book[15]) == (-1, 1)
    assert not torch.equal(book, -book.flip(0))


def entropy_bits(shares: torch.Tensor) -> float:
    return -(shares * shares.clamp(min=1e-12).log2()).sum().item()


def test_nf4_spreads_normal_weights_over_its_codes_more_evenly_than_int4():
    weight = torch.randn(512, 512, generator=torch.manual_seed(0))
    nf4, int4 = code_usage(weight, "nf4"), code_usage(weight, "int4")
    assert nf4.sum().item() == pytest.approx(1)
    assert entropy_bits(nf4) > entropy_bits(int4) + 0.25
    # Not evenly, though: the absmax of 64 weights lies farther out than the book assumes.
    assert nf4.max() > 4 * nf4.min()


def test_boundaries_lie_half_way_in_ascending_order():
    midpoints, order = decision_boundaries(fp4_codebook())
    assert sorted(order.tolist()) == list(range(16))
    assert (fp4_codebook()[order.int()].diff() >= 0).all()
    assert (midpoints.diff() >= 0).all()
    assert decision_boundaries(torch.tensor([-1.0, 0.0, 0.5]))[0].tolist() == [-0.5, 0.25]


def test_an_unknown_code_book_names_the_legal_ones():
    with pytest.raises(LabError, match=r"quant_type: 'nf3' is not one of nf4, fp4, int4"):
        codebook("nf3")
