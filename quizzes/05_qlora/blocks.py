"""Values quantized block by block."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import (
    SEED,
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    same,
)
from labs_lib.assessment.exercises.observed import malformed, well_formed
from labs_lib.assessment.exercises.reading import WrongFormError
from labs_lib.errors import kind_of


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
        return malformed()
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


def _right_scales(result: Any, values: Any, _book: Any, block_size: int) -> bool:
    return same(result["absmax"], values.view(-1, block_size).abs().amax(dim=1), 1e-5)


def _way(name: str) -> Callable[[Any], bool]:
    """Return a test: the codes are those of a known way of quantizing, in every case."""
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


BLOCKS = Exercise(
    id="05.quantize-blocks",
    title="Quantize in blocks",
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
            well_formed(
                "quantize_blocks should return two things: the codes and the absmax of each block."
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
                "Your blocks take every n-th value. A block is a run of neighbors in memory: "
                "view(-1, block_size), with a block in each row.",
                when=_way("columns"),
            ),
        ),
    ),
    praise="A scale for each block, and the nearest value rather than the nearest index.",
)
