"""The quantizer from scratch equals bitsandbytes bit for bit, on a CPU."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
from bitsandbytes import functional as bnb
from hypothesis import given, settings
from hypothesis import strategies as st

import labs_lib.quantization.blockwise as blockwise
from labs_lib.errors import LabError
from labs_lib.quantization import (
    DoubleQuantized,
    block_absmax,
    code_table,
    codebook,
    dequantize,
    double_dequantize,
    double_quantize,
    nearest_codes,
    pack_codes,
    quantize,
    unpack_codes,
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.fixture(autouse=True)
def _no_compiler():
    # bitsandbytes de-quantizes odd shapes with torch.compile, which takes a minute to warm up.
    with torch.compiler.set_stance("force_eager"):
        yield


def assert_equal_to_bitsandbytes(
    tensor: torch.Tensor, quant_type: str, block_size: int, double_quant: bool
) -> None:
    state: Any
    packed, state = bnb.quantize_4bit(
        tensor, blocksize=block_size, quant_type=quant_type, compress_statistics=double_quant
    )
    ours = quantize(tensor, quant_type, block_size, double_quant)
    assert torch.equal(ours.packed, packed.view(-1))
    if double_quant:
        assert isinstance(ours.absmax, DoubleQuantized)
        assert torch.equal(ours.absmax.codes, state.absmax)
        assert torch.equal(ours.absmax.absmax, state.state2.absmax)
        assert torch.equal(ours.absmax.offset, state.offset)
        scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
        assert torch.equal(ours.scales, scales)
    else:
        assert isinstance(ours.absmax, torch.Tensor)
        assert torch.equal(ours.absmax, state.absmax)
    # A packed tensor of one row comes back transposed from bitsandbytes.
    values = bnb.dequantize_4bit(packed, state).reshape(tensor.shape)
    assert values.dtype == tensor.dtype
    assert torch.equal(dequantize(ours), values)


KINDS = {
    "normal": lambda n: torch.randn(n),
    "small": lambda n: torch.randn(n) * 1e-3,
    "large": lambda n: torch.randn(n) * 1e3,
    "uniform": lambda n: torch.rand(n) * 2 - 1,
    "zero": lambda n: torch.zeros(n),
    "some zero": lambda n: torch.randn(n) * (torch.rand(n) < 0.1),
    "one value": lambda n: torch.full((n,), 0.37),
    "few values": lambda n: torch.randint(-3, 4, (n,)).float(),
    "one outlier": lambda n: torch.randn(n).index_fill_(0, torch.tensor([n // 2]), 1000.0),
    "negative outlier": lambda n: torch.randn(n).index_fill_(0, torch.tensor([n - 1]), -50.0),
}


@settings(deadline=None, max_examples=250)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    count=st.integers(1, 5000),
    dtype=st.sampled_from(DTYPES),
    quant_type=st.sampled_from(["nf4", "fp4"]),
    block_size=st.sampled_from([32, 64, 128, 256, 4096]),
    double_quant=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_tensor_equals_bitsandbytes(
    kind, count, dtype, quant_type, block_size, double_quant, seed
):
    torch.manual_seed(seed)
    assert_equal_to_bitsandbytes(KINDS[kind](count).to(dtype), quant_type, block_size, double_quant)


@pytest.mark.parametrize("shape", [(1,), (2,), (63,), (64,), (65,), (7, 9), (33, 65), (3, 5, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_shapes_equal_bitsandbytes(shape, dtype):
    torch.manual_seed(1)
    tensor = torch.randn(shape).to(dtype)
    for quant_type, double_quant in itertools.product(("nf4", "fp4"), (False, True)):
        assert_equal_to_bitsandbytes(tensor, quant_type, 64, double_quant)


def test_more_values_than_one_chunk_equal_bitsandbytes(monkeypatch):
    monkeypatch.setattr(blockwise, "CHUNK", 4096)
    torch.manual_seed(2)
    tensor = torch.randn(105, 129) * 0.02
    assert_equal_to_bitsandbytes(tensor, "nf4", 64, True)
    assert_equal_to_bitsandbytes(tensor.bfloat16(), "fp4", 4096, False)
    assert_equal_to_bitsandbytes(torch.randn(128, 128), "nf4", 64, False)


def test_values_on_every_boundary_equal_bitsandbytes():
    for quant_type in ("nf4", "fp4"):
        book = codebook(quant_type).sort().values
        middles = (book[:-1] + book[1:]) / 2
        around = [torch.nextafter(middles, torch.tensor(far)) for far in (-2.0, 2.0)]
        values = torch.cat([book, middles, *around, torch.ones(1)])
        assert_equal_to_bitsandbytes(values, quant_type, 128, False)
        assert_equal_to_bitsandbytes(values, quant_type, 32, False)


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
def test_rounding_next_to_a_boundary_equals_bitsandbytes(quant_type):
    # Scaling by a third rounds, so which operation does it decides the code of some of these.
    book = codebook(quant_type).sort().values
    middles = (book[:-1] + book[1:]) / 2
    middles = middles[middles != 0]  # the bits below zero's are those of no number
    for absmax in (3.0, 0.7, 1.1, 0.123, 4.9):
        at = (middles * absmax).view(torch.int32)
        near = torch.cat([(at + ulps).view(torch.float32) for ulps in range(-3, 4)])
        values = torch.cat([torch.tensor([absmax]), near])
        assert_equal_to_bitsandbytes(values, quant_type, 4096, False)  # a short last block
        full = torch.nn.functional.pad(values, (0, 128 - len(values)), value=0.1 * absmax)
        assert_equal_to_bitsandbytes(full, quant_type, 128, False)


def test_a_column_view_is_read_in_its_own_order():
    torch.manual_seed(3)
    view = torch.randn(70, 66).T
    assert_equal_to_bitsandbytes(view.contiguous(), "nf4", 64, False)
    assert torch.equal(quantize(view).packed, quantize(view.contiguous()).packed)


@settings(deadline=None, max_examples=60)
@given(
    blocks=st.integers(1, 3000), seed=st.integers(0, 2**31), spread=st.sampled_from([0, 1e-4, 1])
)
def test_scales_equal_bitsandbytes_8_bit(blocks, seed, spread):
    torch.manual_seed(seed)
    absmax = torch.rand(blocks) * spread + 0.1
    offset = absmax.mean()
    codes, state = bnb.quantize_blockwise(absmax - offset, blocksize=256)
    ours = double_quantize(absmax)
    assert torch.equal(ours.codes, codes)
    assert torch.equal(ours.absmax, state.absmax)
    assert torch.equal(double_dequantize(ours), bnb.dequantize_blockwise(codes, state) + offset)


def test_nearest_is_nearest_by_definition():
    torch.manual_seed(4)
    scaled = torch.rand(3, 1000) * 2 - 1
    for quant_type in ("nf4", "fp4", "int4"):
        book = codebook(quant_type)
        found = book[nearest_codes(scaled, book).int()]
        best = (scaled.unsqueeze(-1) - book).abs().amin(dim=-1)
        assert torch.equal((scaled - found).abs(), best)


@settings(deadline=None)
@given(
    book=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=40, unique=True),
    seed=st.integers(0, 2**31),
)
def test_any_book_gives_the_count_of_midpoints_below(book, seed):
    values = torch.tensor(book)
    torch.manual_seed(seed)
    midpoints = values.sort().values
    midpoints = (midpoints[:-1] + midpoints[1:]) / 2
    far = torch.tensor([-1.0, 1.0, 1.0000001, -3.0, 3.0])
    scaled = torch.cat([torch.rand(200) * 2 - 1, values, midpoints, far])
    try:
        table = code_table(values)
    except LabError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "too close" in refusal
        assert midpoints.diff().min() < 1e-5
        return
    order = torch.argsort(values, stable=True).to(torch.uint8)
    expected = order[torch.bucketize(scaled, midpoints)]
    assert torch.equal(nearest_codes(scaled, table), expected)


def test_a_book_with_one_value_thrice_is_refused():
    with pytest.raises(LabError, match="too close together, or one occurs three times"):
        code_table(torch.tensor([0.0, 0.5, 0.5, 0.5]))


def test_block_absmax_of_a_short_last_block():
    values = torch.tensor([1.0, -3.0, 2.0, 0.5, -0.25])
    assert block_absmax(values, 2).tolist() == [3.0, 2.0, 0.25]


@given(st.lists(st.integers(0, 15), min_size=2, max_size=40).filter(lambda c: len(c) % 2 == 0))
def test_packing_puts_the_earlier_code_high_and_comes_back(codes):
    tensor = torch.tensor(codes, dtype=torch.uint8)
    packed = pack_codes(tensor)
    assert packed[0].item() == codes[0] * 16 + codes[1]
    assert torch.equal(unpack_codes(packed, len(codes)), tensor)


def test_codes_leave_out_the_padding_of_an_odd_tensor():
    quantized = quantize(torch.tensor([1.0, -1.0, 0.0]))
    assert quantized.codes.tolist() == [15, 0, 7]
    assert quantized.packed.numel() == 2


@pytest.mark.parametrize("quant_type", ["nf4", "fp4", "int4"])
def test_error_stays_within_half_the_widest_gap(quant_type):
    torch.manual_seed(5)
    tensor = torch.randn(100, 64)
    gap = codebook(quant_type).sort().values.diff().max()
    error = (dequantize(quantize(tensor, quant_type)) - tensor).abs()
    assert (error <= gap / 2 * tensor.abs().amax(dim=1, keepdim=True) * (1 + 1e-6)).all()


def test_dequantize_to_another_dtype_rounds_once():
    torch.manual_seed(6)
    quantized = quantize(torch.randn(50, 64))
    exact = dequantize(quantized, torch.float32)
    assert torch.equal(dequantize(quantized, torch.bfloat16), exact.bfloat16())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: quantize(x, "nf5"), ("quant_type", "'nf5'", "nf4, fp4, int4", "did you mean")),
        (lambda x: quantize(x, "nf4", 48), ("block_size", "48", "power of two")),
        (lambda x: quantize(x, "nf4", 0), ("block_size", "0", "power of two")),
        (lambda x: quantize(x, "nf4", 1), ("block_size", "1", "power of two")),
        (lambda x: quantize(x, "nf4", True), ("block_size", "True", "power of two")),
        (lambda x: quantize(x, "nf4", "64"), ("block_size", "'64'", "power of two")),  # type: ignore[arg-type]
        (lambda x: quantize(x.int()), ("tensor", "int32", "float32")),
        (lambda x: quantize(x / 0), ("tensor", "NaN or infinity")),
        (lambda x: quantize(torch.cat([x, x[:1] * torch.nan])), ("tensor", "NaN or infinity")),
        (lambda x: quantize(x[:0]), ("tensor", "no values")),
        (functools.partial(quantize, quant_type=None), ("quant_type", "None")),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(LabError) as caught:
        call(torch.randn(64))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_default_dtype_of_16_bits_changes_nothing():
    # transformers sets one while it builds a model.
    tensor = torch.randn(130, generator=torch.Generator().manual_seed(7), dtype=torch.float32)
    expected = quantize(tensor)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = quantize(tensor)
        books = [codebook(quant_type) for quant_type in ("nf4", "fp4", "int4")]
    finally:
        torch.set_default_dtype(before)
    assert torch.equal(found.packed, expected.packed)
    assert torch.equal(found.scales, expected.scales)
    assert all(book.dtype == torch.float32 for book in books)
