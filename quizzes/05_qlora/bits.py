"""The bits that one quantized weight costs."""

from __future__ import annotations

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception


def _bits(block_size: int, double_block: int | None) -> float:
    if double_block is None:
        return 4 + 32 / block_size
    return 4 + 8 / block_size + 32 / (block_size * double_block)


BITS = Exercise(
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
