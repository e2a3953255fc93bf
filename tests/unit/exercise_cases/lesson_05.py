"""Cases of lesson 05's exercises."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from exercise_cases.base import Case, build

BOOK, BLOCKS, BITS, MULTIPLY, LEDGER = (
    "05.codebook",
    "05.quantize-blocks",
    "05.count-bits",
    "05.multiply-4bit",
    "05.ledger",
)


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


def weights_block(block_size, double_block):
    if double_block is None:
        return 4 + 32 / block_size
    return 4 + 8 / block_size + 32 / double_block


# ---- a 4-bit product ----------------------------------------------------------------------------


def multiply(saved: str = "stored", base_gradient: bool = False, transposed: bool = False):
    """Return a multiply_4bit built on an autograd function, right or with one thing wrong."""

    def make():
        import torch

        from labs_lib.quantization import dequantize

        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, stored):
                weight = dequantize(stored, x.dtype)
                if saved == "weight":
                    ctx.save_for_backward(weight)
                elif saved == "attribute":
                    ctx.weight = weight
                ctx.stored = stored
                return x @ weight.T

            @staticmethod
            def backward(ctx, *grad_outputs):
                (gradient,) = grad_outputs
                weight = dequantize(ctx.stored)
                if transposed:
                    weight = weight.flip(0)
                base = gradient.sum(0) if base_gradient else None
                return gradient @ weight, base

        return lambda x, stored: Product.apply(x, stored)

    return make


def checkpointed(x, stored):
    from torch.utils.checkpoint import checkpoint

    from labs_lib.quantization import dequantize

    def product(x):
        return x @ dequantize(stored).T

    return checkpoint(product, x, use_reentrant=False)


def room_layer(x, stored):
    from labs_lib.quantization import Linear4bit

    return Linear4bit(stored)(x)


def frozen_copy(x, stored):
    from labs_lib.quantization import dequantize

    return x @ dequantize(stored).T


def trained_base(x, stored):
    from labs_lib.quantization import dequantize

    weight = dequantize(stored)
    weight.requires_grad = True
    return x.matmul(weight.t())


def no_gradient(x, stored):
    import torch

    from labs_lib.quantization import dequantize

    with torch.no_grad():
        return x @ dequantize(stored).T


def codes_multiplied(x, stored):
    return x @ stored.codes.view(stored.shape).float().T


def transposed_weight(x, stored):
    from labs_lib.quantization import dequantize

    return x @ dequantize(stored)


# ---- ledger -------------------------------------------------------------------------------------


def ledger(**changes: Any) -> dict[str, Any]:
    right: dict[str, Any] = {"base weight": (4, False), "block scales": (8, False),
                             "lora_A": (32, True), "lora_B": (32, True)}  # fmt: skip
    return right | {name.replace("_", " ", 1) if name[0] == "b" else name: pair
                    for name, pair in changes.items()}  # fmt: skip


CASES: list[Case] = [
    (BOOK, plain_book, "correct", "one value more"),
    (BOOK, torch_book, "correct", "one value more"),
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
    (MULTIPLY, build(multiply()), "correct", "kept never"),
    (MULTIPLY, checkpointed, "correct", "kept never"),
    (MULTIPLY, room_layer, "correct", "kept never"),
    (MULTIPLY, build(multiply(saved="weight")), "incorrect", "copy is kept"),
    (MULTIPLY, build(multiply(saved="attribute")), "incorrect", "copy is kept"),
    (MULTIPLY, frozen_copy, "incorrect", "copy is kept"),
    (MULTIPLY, trained_base, "incorrect", "gradient in the 4-bit base"),
    (MULTIPLY, build(multiply(base_gradient=True)), "incorrect", "gradient in the 4-bit base"),
    (MULTIPLY, no_gradient, "incorrect", "cut off from x"),
    (MULTIPLY, codes_multiplied, "incorrect", "are no weights"),
    (MULTIPLY, build(multiply(transposed=True)), "incorrect", "dL/dy @ W"),
    (MULTIPLY, transposed_weight, "error", "RuntimeError"),
    (LEDGER, {name: list(pair) for name, pair in ledger().items()}, "correct", "QLoRA layer"),
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
]  # fmt: skip
