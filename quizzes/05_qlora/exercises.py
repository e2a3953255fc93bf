"""Lesson 05: a code book, blocks, bits counted, a 4-bit product, and who has a gradient."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import (
    SEED,
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
    same,
)
from labs_lib.assessment.exercises.reading import WrongFormError, truth_of
from labs_lib.assessment.numbers import plain_number
from labs_lib.errors import kind_of, shorten

from .product import ProbeMultiply, keeps_a_copy, wanted


def _all(field: str, wanted: Any = True) -> Callable[[Any], bool]:
    return lambda results: all(result.get(field) == wanted for result in results)


# ---- a code book of any width -------------------------------------------------------------------


def _side(outermost: float, count: int, keep_median: bool = False) -> Any:
    """Return quantiles at `count` equal steps of probability from the outermost to the median."""
    import torch

    steps = torch.linspace(outermost, 0.5, count + 1, dtype=torch.float64)
    return torch.special.ndtri(steps if keep_median else steps[:-1]).float()


def _book(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    values = torch.cat([-_side(outermost, half - 1), torch.zeros(1), _side(outermost, half)])
    return values.sort().values / values.max()


def _mirrored(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1) - 1)
    values = torch.cat([-side, torch.zeros(1), side])
    return values.sort().values / values.max()


def _mirrored_long(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1))
    values = torch.cat([-side, torch.zeros(1), side])
    return values.sort().values / values.max()


def _without_zero(bits: int, outermost: float) -> Any:
    import torch

    side = _side(outermost, 2 ** (bits - 1))
    values = torch.cat([-side, side])
    return values.sort().values / values.max()


def _two_zeros(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    negative = -_side(outermost, half - 1, keep_median=True)
    values = torch.cat([negative, _side(outermost, half - 1, keep_median=True)])
    return values.sort().values / values.max()


def _evenly_spaced(bits: int, outermost: float) -> Any:
    import torch

    return torch.linspace(-1, 1, 2**bits)


def _even_integers(bits: int, outermost: float) -> Any:
    import torch

    top = 2 ** (bits - 1) - 1
    return torch.arange(-top, top + 1) / top


def _not_scaled(bits: int, outermost: float) -> Any:
    import torch

    half = 2 ** (bits - 1)
    values = torch.cat([-_side(outermost, half - 1), torch.zeros(1), _side(outermost, half)])
    return values.sort().values


def _swapped(bits: int, outermost: float) -> Any:
    return -_book(bits, outermost).flip(0)


def _even_quantiles(bits: int, outermost: float) -> Any:
    import torch

    steps = torch.linspace(1 - outermost, outermost, 2**bits, dtype=torch.float64)
    values = torch.special.ndtri(steps).float()
    return values / values.max()


def _book_cases(generator: random.Random) -> list[tuple[int, float]]:
    import torch  # noqa: F401  (seconds that are not the answer's, so before its clock runs)

    return [(bits, round(generator.uniform(0.93, 0.99), 4)) for bits in (4, 3, 2, 5, 4, 8)]


def _in_another_order(results: list[Any]) -> bool:
    cases = _book_cases(random.Random(SEED))
    return all(
        same(sorted(float(value) for value in result), _book(*case).tolist(), 1e-3)
        for case, result in zip(cases, results, strict=True)
    )


_SYMMETRIC = (
    "That code book is symmetric. Mirroring one side about an exact zero gives an odd number of "
    "values, so a code is lost or one too many is needed: 2**bits is even. Give the positive side "
    "one value more than the negative."
)

_CODEBOOK = Exercise(
    id="05.codebook",
    title="A normal code book of any width",
    objective="nf4",
    task=(
        "NF4 is one of a family. Write `normal_codebook(bits, outermost)`: the `2**bits` values, "
        "ascending, that the same recipe gives. Half of the codes go to the positive side, zero "
        "is exact, the rest go to the negative side. Each side takes equal steps of probability "
        "from `outermost` towards 0.5, and the largest value is 1. Return a tensor or a list."
    ),
    answer="normal_codebook",
    hints=(
        "With 4 bits the positive side has 8 values, the negative 7; with 3 bits 4 and 3.",
        "linspace from outermost to 0.5 with count + 1 points ends at the median, which is "
        "zero: leave that point out and add zero once.",
        "torch.special.ndtri turns probabilities into quantiles; sort, then divide by the largest.",
    ),
    check=FunctionCheck(
        cases=_book_cases,
        reference=_book,
        relative_tolerance=1e-3,
        misconceptions=(
            Misconception("symmetric", _SYMMETRIC, wrong=_mirrored),
            Misconception("symmetric-too-long", _SYMMETRIC, wrong=_mirrored_long),
            Misconception(
                "no-zero",
                "There is no zero in it. Symmetric and of the right length, but a pruned weight "
                "or padding would come back as something else: zero must be exact.",
                wrong=_without_zero,
            ),
            Misconception(
                "zero-twice",
                "Zero stands in it twice: the median ends both sides. One code is wasted; leave "
                "the last point of linspace out, and give the freed code to the positive side.",
                wrong=_two_zeros,
            ),
            Misconception(
                "evenly-spaced",
                "Those values are evenly spaced, as in a plain integer type. Equal steps of "
                "*probability* lie closer together near zero, where most weights are.",
                wrong=_evenly_spaced,
            ),
            Misconception(
                "integers",
                "Those are the values of a symmetric integer, evenly spaced and one short. Take "
                "quantiles at equal steps of probability.",
                wrong=_even_integers,
            ),
            Misconception(
                "one-run-of-quantiles",
                "One run of probabilities from one end to the other steps over 0.5, so zero is "
                "not in it. Make the two sides separately and put zero between them.",
                wrong=_even_quantiles,
            ),
            Misconception(
                "not-scaled",
                "Those are the quantiles themselves. A block is divided by its absmax, so the "
                "book must reach exactly 1: divide by the largest value.",
                wrong=_not_scaled,
            ),
            Misconception(
                "sides-swapped",
                "The other way round: the positive side is the one with a value more.",
                wrong=_swapped,
            ),
            Misconception(
                "not-ascending",
                "Those are the right values in another order; the book should ascend.",
                when=_in_another_order,
            ),
        ),
    ),
    praise="Right for every width: an exact zero, and one value more above it than below.",
)


# ---- block-wise quantisation --------------------------------------------------------------------


def _nearest(scaled: Any, book: Any) -> Any:
    return (scaled.unsqueeze(-1) - book).abs().argmin(dim=-1)


def _variants(values: Any, book: Any, block_size: int) -> dict[str, Any]:
    """Return the codes that the right way and each known wrong way give."""
    import torch

    blocks = values.view(-1, block_size)
    absmax = blocks.abs().amax(dim=1, keepdim=True)
    scaled = (blocks / absmax).view(-1)
    steps = (scaled + 1) / 2 * (len(book) - 1)
    lower = (torch.searchsorted(book, scaled, right=True) - 1).clamp(min=0)
    return {
        "per-tensor": _nearest(values / values.abs().max(), book),
        "nearest-index": steps.round().long(),
        "signed-max": _nearest((blocks / blocks.amax(dim=1, keepdim=True)).view(-1), book),
        "rounded-down": lower,
        "not-scaled": _nearest(values, book),
        "columns": _nearest(
            (values.view(block_size, -1) / values.view(block_size, -1).abs().amax(dim=0)).view(-1),
            book,
        ),
    }


def _probe_blocks(function: Any, values: Any, book: Any, block_size: int) -> Any:
    """Return the student's codes and scales as flat tensors; no verdicts."""
    result = function(values.clone(), book.clone(), block_size)
    if result is None or result is ...:
        return None
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        return {"malformed": True}
    codes, absmax = map(_flat, result)
    return {"codes": codes, "absmax": absmax}


def _flat(part: Any) -> Any:
    """Return numbers in any form as one flat fp64 tensor: a list may hold a tensor a block."""
    import torch

    if isinstance(part, (list, tuple)) or hasattr(part, "__next__"):
        parts = [_flat(each) for each in part]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
    if isinstance(part, (str, bytes)):
        raise WrongFormError(f"codes and absmax should be numbers, not {kind_of(part)}")
    return torch.as_tensor(part).detach().reshape(-1).double()


def _each_block_case(test: Callable[[Any, Any, Any, int], bool]) -> Callable[[Any], bool]:
    """Return a test that holds where `test(result, *case)` does, in every case."""

    def holds(results: Any) -> bool:
        cases = _block_cases(random.Random(SEED))
        return all(test(result, *case) for result, case in zip(results, cases, strict=True))

    return holds


def _nearest_codes(result: Any, values: Any, book: Any, block_size: int) -> bool:
    """Accept either of two entries that are equally near, up to rounding in another precision."""
    codes = result["codes"]
    if not bool(((codes == codes.round()) & (codes >= 0) & (codes < len(book))).all()):
        return False
    blocks = values.view(-1, block_size)
    scaled = (blocks / blocks.abs().amax(dim=1, keepdim=True)).view(-1)
    distances = (scaled.unsqueeze(1) - book).abs()
    chosen = distances.gather(1, codes.long().unsqueeze(1)).squeeze(1)
    return bool((chosen <= distances.amin(dim=1) + 1e-6).all())


def _right_scales(result: Any, values: Any, book: Any, block_size: int) -> bool:
    return same(result["absmax"], values.view(-1, block_size).abs().amax(dim=1), 1e-5)


def _way(name: str) -> Callable[[Any], bool]:
    """Return a test: the codes are those of a known way of quantising, in every case."""
    return _each_block_case(lambda result, *case: same(result["codes"], _variants(*case)[name]))


def _block_cases(generator: random.Random) -> list[tuple[Any, Any, int]]:
    import torch

    from labs_lib.quantization import nf4_codebook

    cases = []
    for block_size, blocks in ((8, 4), (64, 3), (4, 16)):
        seed = torch.Generator().manual_seed(generator.randint(0, 10_000))
        values = torch.randn(block_size * blocks, generator=seed)
        values *= torch.logspace(-1, 1, blocks).repeat_interleave(block_size)
        # The largest of a block is negative in the first, so that max is not absmax.
        values[0] = -values[:block_size].abs().max() * 1.5
        cases.append((values, nf4_codebook(), block_size))
    return cases


_BLOCKS = Exercise(
    id="05.quantize-blocks",
    title="Quantise in blocks",
    objective="nf4",
    task=(
        "Write `quantize_blocks(values, book, block_size)` and return `(codes, absmax)`. "
        "`values` is flat and its length a multiple of `block_size`; `book` holds 16 ascending "
        "values. `codes` has one position in `book` for each value, `absmax` one scale for each "
        "block."
    ),
    answer="quantize_blocks",
    hints=(
        "values.view(-1, block_size) makes each block a row.",
        "Each row is divided by its own largest absolute value.",
        "The distance of n values to 16 entries is an (n, 16) tensor; argmin along its rows.",
    ),
    check=FunctionCheck(
        cases=_block_cases,
        probe=_probe_blocks,
        properties=(
            Property(
                lambda results: not any("malformed" in result for result in results),
                "quantize_blocks should return two things: the codes and the absmax of each block.",
            ),
            Property(
                _each_block_case(lambda result, values, *_: result["codes"].shape == values.shape),
                "There should be exactly one code for each value.",
            ),
            Property(
                _each_block_case(_nearest_codes),
                "Some codes are not those of the nearest entry of the book: divide by the "
                "block's absmax, then take the position of the smallest distance, a whole "
                "number from 0 to 15.",
            ),
            Property(
                _each_block_case(_right_scales),
                "The codes are right, the scales are not: return the largest absolute value of "
                "each block, one a block.",
            ),
        ),
        misconceptions=(
            Misconception(
                "absmax-per-tensor",
                "You divided everything by one absmax, the tensor's. A single large weight then "
                "squeezes all the others into a few codes; each block has a scale of its own.",
                when=_way("per-tensor"),
            ),
            Misconception(
                "nearest-index",
                "You rounded to the nearest *index*, as if the 16 values were evenly spaced. "
                "They are not: look for the entry whose value is nearest.",
                when=_way("nearest-index"),
            ),
            Misconception(
                "signed-max",
                "You divided by the largest value instead of the largest *absolute* value: a "
                "block whose extreme is negative leaves [−1, 1].",
                when=_way("signed-max"),
            ),
            Misconception(
                "rounded-down",
                "You took the entry below each value. The nearest may be the one above; "
                "rounding down doubles the worst error and shifts every weight.",
                when=_way("rounded-down"),
            ),
            Misconception(
                "not-scaled",
                "The values were not divided by a scale, so most of the book is out of reach "
                "for small blocks and large values are cut off at ±1.",
                when=_way("not-scaled"),
            ),
            Misconception(
                "blocks-strided",
                "Your blocks take every n-th value. A block is a run of neighbours in memory: "
                "view(-1, block_size), with a block in each row.",
                when=_way("columns"),
            ),
        ),
    ),
    praise="A scale for each block, and the nearest value rather than the nearest index.",
)


# ---- bits ---------------------------------------------------------------------------------------


def _bits(block_size: int, double_block: int | None) -> float:
    if double_block is None:
        return 4 + 32 / block_size
    return 4 + 8 / block_size + 32 / (block_size * double_block)


_BITS = Exercise(
    id="05.count-bits",
    title="Count the bits of a weight",
    objective="count",
    task=(
        "Write `count_bits(block_size, double_block)`: the bits that one weight costs, scales "
        "included. A code has 4 bits. `double_block=None` means an fp32 absmax for each block. "
        "Otherwise each absmax is stored in 8 bits, and `double_block` of them share one fp32 "
        "scale."
    ),
    answer="count_bits",
    hints=(
        "What is stored once for a block is shared by block_size weights.",
        "A second-level scale is shared by double_block blocks: by how many weights?",
        "At block_size 64 the two answers are 4.5, and with a double_block of 256 about 4.127.",
    ),
    check=FunctionCheck(
        cases=lambda generator: [
            (64, None),
            (64, 256),
            *(
                (2 ** generator.randint(4, 10), generator.choice([None, 64, 128, 512]))
                for _ in range(10)
            ),
            (32, 128),
        ],
        reference=_bits,
        misconceptions=(
            Misconception(
                "scales-left-out",
                "4 bits are the code alone. Without its block's scale a code means nothing: "
                "count the scales too.",
                wrong=lambda block_size, double_block: 4,
            ),
            Misconception(
                "scales-only",
                "That counts the scales without the code itself, which has 4 bits.",
                wrong=lambda block_size, double_block: _bits(block_size, double_block) - 4,
            ),
            Misconception(
                "double-ignored",
                "You charge 32 bits for every absmax also where it is stored in 8.",
                wrong=lambda block_size, double_block: 4 + 32 / block_size,
            ),
            Misconception(
                "second-scales-left-out",
                "The 8-bit scales have a scale of their own, in fp32: a small share, but it is "
                "stored.",
                wrong=lambda block_size, double_block: (
                    4 + (32 if double_block is None else 8) / block_size
                ),
            ),
            Misconception(
                "double-block-of-weights",
                "A second-level scale is shared by double_block *scales*, each of which stands "
                "for block_size weights.",
                wrong=lambda block_size, double_block: (
                    4 + 32 / block_size
                    if double_block is None
                    else 4 + 8 / block_size + 32 / double_block
                ),
            ),
            Misconception(
                "bytes-for-bits",
                "An fp32 scale is 4 *bytes*: 32 bits. You mixed bytes into a count of bits.",
                wrong=lambda block_size, double_block: (
                    4 + 4 / block_size
                    if double_block is None
                    else 4 + 1 / block_size + 4 / (block_size * double_block)
                ),
            ),
            Misconception(
                "sixteen-bit-scales",
                "You counted 16 bits for a full scale; absmax is kept in fp32, 32 bits.",
                wrong=lambda block_size, double_block: (
                    4 + 16 / block_size
                    if double_block is None
                    else 4 + 8 / block_size + 16 / (block_size * double_block)
                ),
            ),
        ),
    ),
    praise="Code, scale and scale of the scales: that is what a weight occupies.",
)


# ---- a product with a 4-bit weight --------------------------------------------------------------


def _multiply_cases(generator: random.Random) -> list[tuple[int, int, int, int, bool]]:
    shapes = ((3, 512, 768, True), (5, 640, 384, False))
    return [(generator.randint(0, 10_000), *shape) for shape in shapes]


def _each_product(test: Callable[[Any, Any], bool]) -> Callable[[Any], bool]:
    """Return a test that holds where `test(observed, wanted)` does, in every case."""

    def holds(results: Any) -> bool:
        cases = _multiply_cases(random.Random(SEED))
        return all(test(result, wanted(*case)) for result, case in zip(results, cases, strict=True))

    return holds


def _right(field: str) -> Callable[[Any], bool]:
    return _each_product(lambda observed, right: same(observed[field], right[field], 1e-3))


def _copy_kept(results: Any) -> bool:
    cases = _multiply_cases(random.Random(SEED))
    return any(keeps_a_copy(result, case) for result, case in zip(results, cases, strict=True))


_MULTIPLY = Exercise(
    id="05.multiply-4bit",
    title="Multiply by a 4-bit weight, and keep no copy",
    objective="flow",
    task=(
        "`multiply_4bit(x, stored)` below computes `x @ W.T` for a 4-bit `stored` weight, with "
        "the right output. But between forward and backward it keeps the restored weight alive, "
        "and it asks for a gradient of the base. Rewrite it: x gets its gradient, the base gets "
        "none, and no restored copy survives the forward pass."
    ),
    answer="multiply_4bit",
    hints=(
        "An ordinary product remembers both factors for the backward pass. A "
        "torch.autograd.Function of your own remembers what you put into ctx, and nothing else.",
        "backward gets dL/dy and returns one gradient for each argument of forward: dL/dy @ W "
        "for x, None for the weight.",
        "Keep `stored` in ctx, which is small and lives anyway, and restore W from it again in "
        "backward.",
    ),
    check=FunctionCheck(
        cases=_multiply_cases,
        probe=ProbeMultiply(),
        seconds=20.0,
        properties=(
            Property(_all("shape"), "Return one tensor of shape (tokens, d_out)."),
            Property(_right("output"), "The output is not x @ W.T for the restored weight W."),
            Property(
                lambda results: _right("x")(results) and _right("packed")(results),
                "The call changes x or the stored weight; both should stay as they were.",
            ),
            Property(_all("reaches_x"), "No gradient reaches x, so no layer below could learn."),
            Property(
                _all("wants_base_gradient", False), "A gradient of the base weight is asked for."
            ),
            Property(
                _right("gradient"), "The gradient of x should be dL/dy @ W, without transpose."
            ),
            Property(
                lambda results: not _copy_kept(results),
                "A restored copy of the weight survives the forward pass.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gradient-in-base",
                "You expect a gradient in the 4-bit base. A code has no small step to take: the "
                "base stays frozen, and backward returns None for it.",
                when=lambda results: (
                    _all("shape")(results) and _all("wants_base_gradient")(results)
                ),
            ),
            Misconception(
                "no-gradient-for-x",
                "The product is cut off from x: no gradient would flow to the layers below, nor "
                "to their adapters. Only the *weight* has none.",
                when=lambda results: (
                    _right("output")(results) and _all("reaches_x", False)(results)
                ),
            ),
            Misconception(
                "copy-kept",
                "The output is right, but the de-quantised copy is kept for the backward pass, in "
                "every layer at once: that is the 16-bit model again. Keep the 4 bits and restore "
                "the weight a second time.",
                when=lambda results: _right("output")(results) and _copy_kept(results),
            ),
            Misconception(
                "codes-multiplied",
                "The output is not x @ W.T. Codes and packed bytes are no weights: de-quantise "
                "before you multiply.",
                when=lambda results: _all("shape")(results) and not _right("output")(results),
            ),
        ),
    ),
    praise="Restored twice, kept never: that is how a frozen 4-bit layer lets gradients through.",
)


# ---- who is stored how --------------------------------------------------------------------------

_LEDGER_RIGHT = {
    "base weight": (4, False),
    "block scales": (8, False),
    "lora_A": (32, True),
    "lora_B": (32, True),
}


def _ledger_problem(value: Any) -> Any:
    """Return the ledger as {entry: (bits, gradient)}; a message for what is not one."""
    if not isinstance(value, Mapping):
        raise WrongFormError(f"ledger should be a dictionary, not {kind_of(value)}")
    entries = {_entry_name(name): pair for name, pair in value.items()}
    if missing := [name for name in _LEDGER_RIGHT if name not in entries]:
        raise WrongFormError(f"ledger has no entry {missing[0]!r}")
    if extra := [name for name in entries if name not in _LEDGER_RIGHT]:
        raise WrongFormError(f"ledger has an entry {shorten(extra[0])}, which was not asked for")
    ledger = {}
    for name, pair in entries.items():
        parts = list(pair)[:3] if isinstance(pair, (tuple, list)) or hasattr(pair, "tolist") else []
        bits = plain_number(parts[0]) if len(parts) == 2 else None
        if bits is None or isinstance(bits, bool):
            raise WrongFormError(f"{name!r} should be (bits, gradient), such as (16, True)")
        gradient = truth_of(parts[1])
        if gradient is None:
            raise WrongFormError(f"{name!r}: whether it gets a gradient is True or False")
        ledger[name] = (bits, gradient)
    return ledger


def _entry_name(name: Any) -> str:
    """Return an entry's name in the task's spelling: capitals and underscores do not matter."""
    usual = {each.lower().replace("_", " "): each for each in _LEDGER_RIGHT}
    return usual.get(str(name).strip().lower().replace("_", " "), str(name))


def _bits_of(*names: str, **wanted: Any) -> Callable[[Any], bool]:
    return lambda ledger: any(ledger[name][0] in wanted["among"] for name in names)


_LEDGER = Exercise(
    id="05.ledger",
    title="Who is stored how, and who gets a gradient?",
    objective="flow",
    task=(
        "For the adapted layer that you watched, set `ledger` to a dictionary with the entries "
        "`'base weight'`, `'block scales'`, `'lora_A'` and `'lora_B'`. Each is a pair: the bits "
        "in which one of its numbers is **stored**, and whether a **gradient** arrives there in "
        "the first step, as in `(16, True)`."
    ),
    answer="ledger",
    hints=(
        "The listing of the layer's parts gives dtypes; a uint8 byte of the base holds two codes.",
        "A gradient arrives where `.grad` was not None after backward, even if it was zero.",
    ),
    check=ValueCheck(
        observe=_ledger_problem,
        properties=(
            Property(
                lambda ledger: (
                    {name: tuple(pair) for name, pair in ledger.items()} == _LEDGER_RIGHT
                ),
                "Not every entry agrees with what the cells above printed; look at the dtypes and "
                "at .grad once more.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gradient-in-base",
                "No gradient arrives in the 4-bit base or in its scales: they are frozen, and "
                ".grad stayed None. Only the adapter's two matrices learn.",
                when=lambda ledger: ledger["base weight"][1] or ledger["block scales"][1],
            ),
            Misconception(
                "adapters-quantised",
                "The adapters are not quantised. What is trained needs small steps, so lora_A "
                "and lora_B are stored as floating-point numbers: look at their dtype.",
                when=_bits_of("lora_A", "lora_B", among=(4, 8)),
            ),
            Misconception(
                "base-in-16-bits",
                "16 or 32 bits is what the base is *computed* in, for the moment of one product. "
                "Stored are the codes.",
                when=_bits_of("base weight", among=(16, 32)),
            ),
            Misconception(
                "byte-is-a-code",
                "The packed tensor is uint8, but each byte holds two codes.",
                when=_bits_of("base weight", among=(8,)),
            ),
            Misconception(
                "scales-in-32",
                "32 bits is the absmax before double quantisation, which was on here.",
                when=_bits_of("block scales", among=(32,)),
            ),
            Misconception(
                "scales-in-4",
                "The scales are not in 4 bits: double quantisation stores them in 8.",
                when=_bits_of("block scales", among=(4,)),
            ),
            Misconception(
                "zero-is-none",
                "At the first step lora_B is zero, so the gradient of lora_A *is* zero, but it "
                "arrives: zero is not None.",
                when=lambda ledger: not ledger["lora_A"][1],
            ),
            Misconception(
                "adapters-in-16",
                "Some set-ups keep adapters in 16 bits. Here the base was prepared first, and "
                "PEFT made them in what the listing says.",
                when=_bits_of("lora_A", "lora_B", among=(16,)),
            ),
        ),
    ),
    praise="Four bits and eight, frozen; thirty-two, learning. That is a QLoRA layer.",
)

EXERCISES = [_CODEBOOK, _BLOCKS, _BITS, _LEDGER, _MULTIPLY]
