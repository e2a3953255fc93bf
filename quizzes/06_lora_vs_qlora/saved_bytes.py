"""What storing a 7B's linear layers in 4 bits saves."""

from __future__ import annotations

from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

# Llama-2-7B: 32 layers of four 4096 × 4096 and three 4096 × 11008 matrices.
WEIGHTS = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
BITS = 4.127


def _gb(bits: float, unit: float = 1e9) -> float:
    return WEIGHTS * bits / 8 / unit


def _is(*values: float) -> Callable[[float], bool]:
    return lambda given: any(abs(given - value) <= 0.004 * abs(value) for value in values)


SAVED = Exercise(
    id="06.saved-gb",
    title="What 4 bits save",
    objective="memory",
    difficulty="easy",
    task=(
        f"The linear layers of Llama-2-7B have {WEIGHTS:,} weights. In bf16 each takes 16 bits; in "
        f"NF4 with double quantization it takes {BITS} bits. How many **GB** (10⁹ bytes) does the "
        "change save? Set `saved_gb`."
    ),
    answer="saved_gb",
    hints=(
        "How many bits does one weight save?",
        "Eight bits are one byte, and 10⁹ bytes are one GB.",
    ),
    check=ValueCheck(
        observe=number_of("saved_gb"),
        properties=(
            Property(
                _is(_gb(16 - BITS)),
                "Not the number: multiply the weights by the bits that each saves, and turn bits "
                "into GB.",
            ),
        ),
        misconceptions=(
            Misconception(
                "left-for-saved",
                "That is what the weights take afterwards. The task asks for what is saved.",
                when=_is(_gb(BITS)),
            ),
            Misconception(
                "before-for-saved",
                "That is what the weights take in bf16. Subtract what they take in NF4.",
                when=_is(_gb(16)),
            ),
            Misconception(
                "bits-for-bytes",
                "Those are gigabits; eight bits are one byte.",
                when=_is(8 * _gb(16 - BITS)),
            ),
            Misconception(
                "gib-for-gb",
                "That is in GiB (2³⁰ bytes); GB means 10⁹ bytes.",
                when=_is(_gb(16 - BITS, 2**30)),
            ),
            Misconception(
                "plain-bytes",
                "That is in bytes; one GB is 10⁹ of them.",
                when=_is(_gb(16 - BITS, 1)),
            ),
            Misconception(
                "codes-only",
                "You counted 4 bits for each weight. The scales of the blocks add 0.127.",
                when=_is(_gb(16 - 4)),
            ),
            Misconception(
                "from-32-bits",
                "You started from 32 bits. The base of LoRA is in bf16, with 16 bits a weight.",
                when=_is(_gb(32 - BITS)),
            ),
        ),
    ),
    praise="9.6 GB. The embedding and the output head stay in 16 bits, so they save nothing.",
)
