"""Cases of lesson 05's exercises, without the 4-bit product."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

from .cases_product import CASES as PRODUCT_CASES

BITS, BLOCKS, LEDGER, CARD = (
    "05.block-of-32",
    "05.quantize-blocks",
    "05.ledger",
    "05.older-card",
)

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


def numpy_bits() -> Any:
    import numpy as np

    return np.float32(4 + 8 / 32 + 32 / (32 * 256))


# ---- configuration ------------------------------------------------------------------------------


def bnb(**changes: Any) -> Any:
    """Return what makes QLoRA's configuration for the older card, with changes; None drops one."""

    def make() -> Any:
        import torch
        from transformers import BitsAndBytesConfig

        fields: dict[str, Any] = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": torch.float16,
        }
        fields = {name: value for name, value in (fields | changes).items() if value is not None}
        return BitsAndBytesConfig(**fields)

    return build(make)


def lora_for_bnb() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=8)


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
    (BITS, 4.25390625, "correct", "4.254"),
    (BITS, 4.254, "correct", "4.254"),
    (BITS, (4 * 32 + 8 + 32 / 256) / 32, "correct", "4.254"),
    (BITS, build(numpy_bits), "correct", "4.254"),
    (BITS, 4, "incorrect", "the code alone"),
    (BITS, 4.127, "incorrect", "blocks of 64"),
    (BITS, 5.0, "incorrect", "stores it in 8"),
    (BITS, 4.25, "incorrect", "a scale of their own"),
    (BITS, 4 + 1 / 4, "incorrect", "third decimal"),
    (BITS, 4.375, "incorrect", "belongs to 32 weights"),
    (BITS, 0.2539, "incorrect", "without the code"),
    (BITS, 4.0317, "incorrect", "its 4 bytes"),
    (BITS, 16, "incorrect", "not the code plus"),
    (BITS, "4.254", "error", "should be a number"),
    (CARD, bnb(), "correct", "NF4"),
    (CARD, bnb(bnb_4bit_compute_dtype="float16"), "correct", "NF4"),
    (CARD, bnb(load_in_8bit=False, llm_int8_threshold=6.0), "correct", "NF4"),
    (CARD, bnb(load_in_4bit=None, load_in_8bit=True), "incorrect", "LLM.int8()"),
    (CARD, bnb(bnb_4bit_quant_type=None, bnb_4bit_use_double_quant=None,
               bnb_4bit_compute_dtype=None), "incorrect", "defaults are not QLoRA"),
    (CARD, bnb(bnb_4bit_compute_dtype="bfloat16"), "incorrect", "no bf16 instructions"),
    (CARD, bnb(bnb_4bit_compute_dtype=None), "incorrect", "runs in fp32"),
    (CARD, bnb(bnb_4bit_quant_type="fp4"), "incorrect", "nf4, not fp4"),
    (CARD, bnb(bnb_4bit_use_double_quant=None), "incorrect", "should be on"),
    (CARD, bnb(load_in_4bit=None), "incorrect", "load_in_4bit=True"),
    (CARD, bnb(llm_int8_threshold=5.0), "incorrect", "was not asked for"),
    (CARD, build(lora_for_bnb), "error", "should be a BitsAndBytesConfig"),
    (CARD, {"load_in_4bit": True}, "error", "should be a BitsAndBytesConfig"),
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
    (LEDGER, ledger(base_weight=(4, True)), "incorrect", ".grad stayed None"),
    (LEDGER, ledger(block_scales=(8, True)), "incorrect", ".grad stayed None"),
    (LEDGER, ledger(lora_A=(4, True), lora_B=(4, True)), "incorrect", "are not quantized"),
    (LEDGER, ledger(lora_B=(8, True)), "incorrect", "are not quantized"),
    (LEDGER, ledger(base_weight=(16, False)), "incorrect", "In memory are the codes"),
    (LEDGER, ledger(base_weight=(8, False)), "incorrect", "each byte holds two codes"),
    (LEDGER, ledger(block_scales=(32, False)), "incorrect", "before double quantization"),
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
