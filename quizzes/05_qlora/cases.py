"""Cases of lesson 05's exercises, the 4-bit product apart."""

from __future__ import annotations

from statistics import NormalDist
from types import MappingProxyType
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build, torch_loaded

from .cases_product import CASES as PRODUCT_CASES

BOOK, BLOCKS, BITS, LEDGER = "05.codebook", "05.quantize-blocks", "05.count-bits", "05.ledger"

# ---- code book: `negatives` and `positives` values beside zero, from the standard library -------


def side(outermost, count):
    step = (outermost - 0.5) / count
    return [NormalDist().inv_cdf(outermost - number * step) for number in range(count)]


def plain_book(bits, outermost):
    half = 2 ** (bits - 1)
    values = sorted([*[-v for v in side(outermost, half - 1)], 0.0, *side(outermost, half)])
    return [value / values[-1] for value in values]


def torch_book(bits, outermost):
    import torch

    half = 2 ** (bits - 1)
    normal = torch.distributions.Normal(0.0, 1.0)
    up = normal.icdf(torch.linspace(0.5, outermost, half + 1))
    down = normal.icdf(torch.linspace(1 - outermost, 0.5, half))
    return torch.cat([down[:-1], up]) / up[-1]


def mirrored(extra):
    def book(bits, outermost):
        values = side(outermost, 2 ** (bits - 1) - 1 + extra)
        return [v / values[0] for v in sorted([*[-v for v in values], 0.0, *values])]

    return book


def without_zero(bits, outermost):
    values = side(outermost, 2 ** (bits - 1))
    return [v / values[0] for v in sorted([*[-v for v in values], *values])]


def two_zeros(bits, outermost):
    values = [*side(outermost, 2 ** (bits - 1) - 1), 0.0]
    return [v / values[0] for v in sorted([*[-v for v in values], *values])]


def even_integers(bits, outermost):
    top = 2 ** (bits - 1) - 1
    return [k / top for k in range(-top, top + 1)]


def one_run(bits, outermost):
    steps = [1 - outermost + k * (2 * outermost - 1) / (2**bits - 1) for k in range(2**bits)]
    return [NormalDist().inv_cdf(p) / NormalDist().inv_cdf(outermost) for p in steps]


def unscaled(bits, outermost):
    return [v * NormalDist().inv_cdf(outermost) for v in plain_book(bits, outermost)]


def swapped(bits, outermost):
    return [-v for v in reversed(plain_book(bits, outermost))]


# ---- blocks -------------------------------------------------------------------------------------


def blocks(scale="block", choose="nearest"):
    """Return a quantize_blocks that takes its scale and its codes in one of several ways."""

    def quantize_blocks(values, book, block_size):
        import torch

        rows = values.reshape(-1, block_size)
        absmax = rows.abs().max(dim=1).values
        divisor: Any = {
            "block": absmax[:, None],
            "tensor": values.abs().max(),
            "signed": rows.max(dim=1).values[:, None],
            "none": 1.0,
        }[scale]
        scaled = (rows / divisor).flatten()
        if choose == "index":
            return ((scaled + 1) * 7.5).round(), absmax
        if choose == "below":
            return (torch.searchsorted(book, scaled, right=True) - 1).clamp(min=0), absmax
        return torch.cdist(scaled[:, None], book[:, None]).argmin(dim=1), absmax

    return quantize_blocks


def loop_blocks(values, book, block_size):
    codes, scales = [], []
    for start in range(0, len(values), block_size):
        block = [float(v) for v in values[start : start + block_size]]
        largest = max(abs(v) for v in block)
        scales.append(largest)
        for value in block:
            distances = [abs(value / largest - float(entry)) for entry in book]
            codes.append(distances.index(min(distances)))
    return codes, scales


def midpoint_blocks(values, book, block_size):
    import torch

    absmax = values.view(-1, block_size).abs().amax(1)
    scaled = values / absmax.repeat_interleave(block_size)
    return torch.bucketize(scaled, (book[1:] + book[:-1]) / 2), absmax


def numpy_blocks(values, book, block_size):
    import numpy as np

    rows = values.numpy().reshape(-1, block_size)
    absmax = np.abs(rows).max(axis=1)
    scaled = rows / absmax[:, None]
    codes = np.abs(scaled[..., None] - book.numpy()).argmin(axis=-1)
    return codes.astype(np.uint8), absmax


def double_blocks(values, book, block_size):
    codes, absmax = midpoint_blocks(values.double(), book.double(), block_size)
    return codes.to(values.dtype), absmax.unsqueeze(0)


def by_rows(values, book, block_size):
    import torch

    made = [midpoint_blocks(part, book, block_size) for part in values.split(block_size)]
    return [torch.stack([codes for codes, _ in made]), torch.cat([absmax for _, absmax in made])]


def strided_blocks(values, book, block_size):
    columns = values.view(block_size, -1)
    absmax = columns.abs().amax(0)
    scaled = (columns / absmax).flatten()
    return (scaled[:, None] - book).abs().argmin(1), absmax


def signed_scales(values, book, block_size):
    codes, _ = loop_blocks(values, book, block_size)
    return codes, values.view(-1, block_size).amax(1)


def only_codes(values, book, block_size):
    return loop_blocks(values, book, block_size)[0]


def one_block(values, book, block_size):
    return loop_blocks(values[:block_size], book, block_size)


# ---- bits ---------------------------------------------------------------------------------------


def by_block(block_size, double_block):
    """Count the bytes of whole second-level blocks instead of a formula."""
    group = 1 if double_block is None else double_block
    scales = 4 if double_block is None else double_block + 4
    return 8 * (block_size * group / 2 + scales) / (block_size * group)


def bits(scale=32.0, second: Any = 32.0, code=4):
    def count_bits(block_size, double_block):
        if double_block is None:
            return code + scale / block_size
        return code + scale / 4 / block_size + second / (block_size * double_block)

    return count_bits


def numpy_bits(block_size, double_block):
    import numpy as np

    if double_block is None:
        return np.float32(4) + np.float32(32) / block_size
    return np.add.reduce([4, 8 / block_size, 32 / (block_size * double_block)])


def weights_block(block_size, double_block):
    if double_block is None:
        return 4 + 32 / block_size
    return 4 + 8 / block_size + 32 / double_block


# ---- ledger -------------------------------------------------------------------------------------


def ledger(**changes: Any) -> dict[str, Any]:
    right: dict[str, Any] = {"base weight": (4, False), "block scales": (8, False),
                             "lora_A": (32, True), "lora_B": (32, True)}  # fmt: skip
    return right | {name.replace("_", " ", 1) if name[0] == "b" else name: pair
                    for name, pair in changes.items()}  # fmt: skip


def numpy_ledger() -> Any:
    import numpy as np

    return {name: (np.int64(bits), np.bool_(grad)) for name, (bits, grad) in ledger().items()}


def tensor_ledger() -> Any:
    import torch

    return {name: torch.tensor([bits, grad]) for name, (bits, grad) in ledger().items()}


CASES: list[Case] = [
    (BOOK, plain_book, "correct", "one value more"),
    (BOOK, torch_loaded(torch_book), "correct", "one value more"),
    (BOOK, lambda bits, outermost: tuple(plain_book(bits, outermost)), "correct", "one value more"),
    (BOOK, lambda bits, outermost: torch_book(bits, outermost).numpy(), "correct", "one value"),
    (BOOK, lambda bits, outermost: torch_book(bits, outermost).double(), "correct", "one value"),
    (BOOK, lambda bits, outermost: [round(v, 4) for v in plain_book(bits, outermost)], "correct",
     "one value more"),
    (BOOK, lambda bits, outermost: plain_book(bits, outermost)[::-1], "incorrect", "should ascend"),
    (BOOK, lambda bits, outermost: plain_book(bits, 0.9677083), "incorrect", ""),
    (BOOK, lambda bits, outermost: plain_book(bits, outermost)[:16], "incorrect", ""),
    (BOOK, mirrored(0), "incorrect", "is symmetric"),
    (BOOK, mirrored(1), "incorrect", "is symmetric"),
    (BOOK, without_zero, "incorrect", "no zero in it"),
    (BOOK, two_zeros, "incorrect", "Zero stands in it twice"),
    (BOOK, lambda bits, outermost: [-1 + 2 * k / (2**bits - 1) for k in range(2**bits)],
     "incorrect", "evenly spaced"),
    (BOOK, even_integers, "incorrect", "symmetric integer"),
    (BOOK, one_run, "incorrect", "steps over 0.5"),
    (BOOK, unscaled, "incorrect", "divide by the largest"),
    (BOOK, swapped, "incorrect", "other way round"),
    (BOOK, lambda bits, outermost: plain_book(4, outermost), "incorrect", "expected"),
    (BOOK, lambda bits: bits, "error", "1 positional argument"),
    (BLOCKS, loop_blocks, "correct", "nearest value"),
    (BLOCKS, midpoint_blocks, "correct", "nearest value"),
    (BLOCKS, blocks(), "correct", "nearest value"),
    (BLOCKS, numpy_blocks, "correct", "nearest value"),
    (BLOCKS, double_blocks, "correct", "nearest value"),
    (BLOCKS, by_rows, "correct", "nearest value"),
    (BLOCKS, lambda v, b, n: [list(part.split(4)) for part in midpoint_blocks(v, b, n)], "correct",
     "nearest value"),
    (BLOCKS, lambda v, b, n: tuple(iter(part) for part in midpoint_blocks(v, b, n)), "correct",
     "nearest value"),
    (BLOCKS, lambda v, b, n: ([], []), "incorrect", "one code for each"),
    (BLOCKS, lambda v, b, n: ("codes", "absmax"), "error", "should be numbers, not a str."),
    (BLOCKS, "def quantize_blocks(v, b, n):\n    v.view(-1, n)\n", "incorrect", "with a return"),
    (BLOCKS, lambda v, b, n: [part.long() if not k else part[:, None]
                              for k, part in enumerate(midpoint_blocks(v, b, n))], "correct", ""),
    (BLOCKS, lambda v, b, n: (midpoint_blocks(v, b, n)[0] + 0.25, midpoint_blocks(v, b, n)[1]),
     "incorrect", "a whole number from 0 to 15"),
    (BLOCKS, lambda v, b, n: (midpoint_blocks(v, b, n)[0] - 16, midpoint_blocks(v, b, n)[1]),
     "incorrect", "a whole number from 0 to 15"),
    (BLOCKS, lambda v, b, n: midpoint_blocks(v, b, 64) if len(v) % 64 == 0
     else midpoint_blocks(v, b, len(v)), "incorrect", "nearest entry"),
    (BLOCKS, lambda v, b, n: midpoint_blocks(v.abs(), b, n), "incorrect", "nearest entry"),
    (BLOCKS, lambda v, b, n: (midpoint_blocks(v, b, n)[0], v.abs().max()), "incorrect",
     "the scales are not"),
    (BLOCKS, lambda v, b, n: midpoint_blocks(v, b, n)[::-1], "incorrect", "one code for each"),
    (BLOCKS, blocks(scale="tensor"), "incorrect", "one absmax, the tensor's"),
    (BLOCKS, blocks(choose="index"), "incorrect", "nearest *index*"),
    (BLOCKS, blocks(scale="signed"), "incorrect", "largest *absolute* value"),
    (BLOCKS, blocks(choose="below"), "incorrect", "entry below"),
    (BLOCKS, blocks(scale="none"), "incorrect", "not divided by a scale"),
    (BLOCKS, strided_blocks, "incorrect", "every n-th value"),
    (BLOCKS, signed_scales, "incorrect", "the scales are not"),
    (BLOCKS, only_codes, "incorrect", "two things"),
    (BLOCKS, one_block, "incorrect", "one code for each value"),
    (BLOCKS, lambda values, book, block_size: (values, values / 0), "incorrect",
     "not those of the nearest"),
    (BLOCKS, lambda values, book, block_size: values.no_such_thing, "error", "AttributeError"),
    (BITS, by_block, "correct", "scale of the scales"),
    (BITS, lambda b, d: 4 + (32 / b if d is None else (8 + 32 / d) / b), "correct", "scale of"),
    (BITS, numpy_bits, "correct", "scale of"),
    (BITS, lambda b, d: round(bits()(b, d), 5), "correct", "scale of"),
    (BITS, lambda b, d=None: bits()(b, d), "correct", "scale of"),
    (BITS, lambda b, d: {True: lambda: 4 + 32 / b, False: lambda: bits()(b, d)}[d is None](),
     "correct", "scale of"),
    (BITS, lambda b, d: 4.5 if d is None else 4.127, "incorrect", "expected"),
    (BITS, lambda b, d: 4 + 32 / b if d is None else 4 + 8 / b + 32 / (b * 256), "incorrect",
     "expected"),
    (BITS, lambda b, d: 4 + 0.5 * 64 // b, "incorrect", "expected"),
    (BITS, lambda block_size, double_block: 4.0, "incorrect", "the code alone"),
    (BITS, bits(code=0), "incorrect", "without the code"),
    (BITS, lambda block_size, double_block: 4 + 32 / block_size, "incorrect", "every absmax"),
    (BITS, bits(second=0), "incorrect", "a scale of their own"),
    (BITS, weights_block, "incorrect", "double_block *scales*"),
    (BITS, bits(scale=4, second=4), "incorrect", "32 bits"),
    (BITS, lambda b, d: 4 + (16 / b if d is None else 8 / b + 16 / (b * d)), "incorrect",
     "16 bits for a full scale"),
    (BITS, lambda block_size, double_block: 16, "incorrect", "expected 4.5"),
    (BITS, 4.127, "error", "should be a function"),
    (LEDGER, {name: (bits, "no") for name, (bits, _) in ledger().items()}, "error",
     "is True or False"),
    (LEDGER, {name: list(pair) for name, pair in ledger().items()}, "correct", "QLoRA layer"),
    (LEDGER, {name: (bits, int(grad)) for name, (bits, grad) in ledger().items()}, "correct", ""),
    (LEDGER, {name.upper(): pair for name, pair in ledger().items()}, "correct", "QLoRA layer"),
    (LEDGER, {name.replace(" ", "_"): pair for name, pair in ledger().items()}, "correct", ""),
    (LEDGER, build(numpy_ledger), "correct", "QLoRA layer"),
    (LEDGER, build(tensor_ledger), "correct", "QLoRA layer"),
    (LEDGER, MappingProxyType(ledger()), "correct", "QLoRA layer"),
    (LEDGER, ledger(lora_A=(32.0, True), base_weight=(4.0, 0.0)), "correct", "QLoRA layer"),
    (LEDGER, ledger(lora_A=("32", True)), "error", "(bits, gradient)"),
    (LEDGER, ledger(lora_A=(True, True)), "error", "(bits, gradient)"),
    (LEDGER, ledger(lora_A=(32, 2)), "error", "True or False"),
    (LEDGER, ledger(lora_A="32"), "error", "(bits, gradient)"),
    (LEDGER, ledger(base_weight=(4.127, False)), "incorrect", "look at the dtypes"),
    (LEDGER, ledger(lora_A=(float("nan"), True)), "incorrect", "look at the dtypes"),
    (LEDGER, dict(reversed(ledger().items())), "correct", "QLoRA layer"),
    (LEDGER, ledger(base_weight=(4, True)), "incorrect", "frozen, and .grad stayed None"),
    (LEDGER, ledger(block_scales=(8, True)), "incorrect", "frozen, and .grad stayed None"),
    (LEDGER, ledger(lora_A=(4, True), lora_B=(4, True)), "incorrect", "are not quantised"),
    (LEDGER, ledger(lora_B=(8, True)), "incorrect", "are not quantised"),
    (LEDGER, ledger(base_weight=(16, False)), "incorrect", "Stored are the codes"),
    (LEDGER, ledger(base_weight=(8, False)), "incorrect", "each byte holds two codes"),
    (LEDGER, ledger(block_scales=(32, False)), "incorrect", "before double quantisation"),
    (LEDGER, ledger(block_scales=(4, False)), "incorrect", "stores them in 8"),
    (LEDGER, ledger(lora_A=(32, False)), "incorrect", "zero is not None"),
    (LEDGER, ledger(lora_A=(16, True), lora_B=(16, True)), "incorrect", "keep adapters in 16"),
    (LEDGER, ledger(lora_B=(32, False)), "incorrect", "look at the dtypes"),
    (LEDGER, {"base weight": (4, False)}, "error", "no entry 'block scales'"),
    (LEDGER, ledger(norm=(32, False)), "error", "not asked for"),
    (LEDGER, ledger(lora_A=32), "error", "(bits, gradient)"),
    (LEDGER, ledger(lora_A=(32, "yes")), "error", "True or False"),
    (LEDGER, [4, 8, 32], "error", "should be a dictionary"),
    *PRODUCT_CASES,
]  # fmt: skip
