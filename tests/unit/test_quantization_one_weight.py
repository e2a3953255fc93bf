"""One weight by value: where it snaps to, and what is left of an update that is merged."""

from __future__ import annotations

import math
import random

import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.quantization import (
    codebook,
    dequantize,
    merge_update,
    nearest_codes,
    quantize,
    snap_weight,
)
from labs_lib.quantization.one_weight import to_bf16

NF4 = codebook("nf4").tolist()
INT4 = codebook("int4").tolist()


@pytest.mark.parametrize("book", [NF4, INT4], ids=["nf4", "int4"])
def test_a_weight_gets_the_code_that_the_quantizer_gives_it(book):
    draw = random.Random(0)
    weights = [draw.uniform(-0.5, 0.5) for _ in range(2000)]
    codes = nearest_codes(torch.tensor(weights) / 0.5, torch.tensor(book)).tolist()
    for weight, code in zip(weights, codes, strict=True):
        found = snap_weight(weight, 0.5, book)
        assert found.code == code
        assert found.lowest < weight <= found.highest
        assert found.restored == pytest.approx(weight + found.error)


def test_every_value_of_the_book_is_its_own_nearest_and_zero_is_exact():
    for code, value in enumerate(NF4):
        found = snap_weight(value * 0.25, 0.25, NF4)
        assert (found.code, found.value, found.error) == (code, value, 0)


def test_half_way_between_two_values_the_smaller_one_is_taken():
    assert snap_weight((NF4[9] + NF4[10]) / 2, 1, NF4).code == 9


def test_an_update_below_half_a_gap_is_lost_in_4_bits_and_kept_in_16():
    merged = merge_update(0.1, 0.004, 0.5, NF4)
    assert merged.kept == 0
    assert merged.least_down < 0.004 < merged.least_up
    assert merged.end_16 - merged.start_16 == pytest.approx(0.004, abs=0.0005)
    beyond = merge_update(0.1, merged.least_up + 1e-6, 0.5, NF4)
    assert beyond.after.code == beyond.before.code + 1
    assert beyond.kept > 1.5 * merged.least_up, "it moves by the gap, not by the update"


def test_what_merging_keeps_is_what_the_quantizer_keeps_of_a_block():
    draw = torch.Generator().manual_seed(3)
    block = 0.1 * torch.randn(64, generator=draw)
    block[7] = 0.5  # the absmax, which no update touches
    updates = 0.03 * torch.randn(64, generator=draw)
    updates[7] = 0
    restored = dequantize(quantize(block), torch.float32)
    again = dequantize(quantize(restored + updates), torch.float32)
    for weight, update, kept in zip(
        block.tolist(), updates.tolist(), (again - restored).tolist(), strict=True
    ):
        assert merge_update(weight, update, 0.5, NF4).kept == pytest.approx(kept, abs=1e-6)


def test_bf16_is_torch_s():
    draw = random.Random(1)
    numbers = [draw.gauss(0, 10.0 ** draw.randint(-6, 3)) for _ in range(2000)] + [0.0, -0.0]
    expected = torch.tensor(numbers, dtype=torch.float32).bfloat16().tolist()
    assert [to_bf16(number) for number in numbers] == expected


@pytest.mark.parametrize(
    ("weight", "absmax", "words"),
    [
        (0.6, 0.5, "weight: 0.6 is beyond the absmax 0.5"),
        (math.nan, 0.5, "weight: nan is beyond"),
        (0.1, 0, "absmax: 0 is not above zero"),
        ("0.1", 0.5, "weight: '0.1' is no number"),
        (True, 0.5, "weight: True is no number"),
    ],
)
def test_a_weight_that_no_block_holds_is_refused(weight, absmax, words):
    with pytest.raises(LabError, match=words):
        snap_weight(weight, absmax, NF4)


@pytest.mark.parametrize("update", [math.inf, "much", None])
def test_an_update_is_a_finite_number(update):
    with pytest.raises(LabError, match=r"update: .* is no finite number"):
        merge_update(0.1, update, 0.5, NF4)
