"""What the parameters of a QLoRA step hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import SEED, Exercise, FunctionCheck, Misconception, same

GIB = 2**30
_BITS = 4 + 8 / 64 + 32 / (64 * 256)


def _qlora_bytes(linear: int, other: int, adapter: int) -> float:
    return linear * _BITS / 8 + other * 2 + adapter * 16


def _with_bits(bits: float) -> Callable[[int, int, int], float]:
    return lambda linear, other, adapter: linear * bits / 8 + other * 2 + adapter * 16


def _qlora_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(0, 0, 1_000), (6_400_000_000, 262_000_000, 40_000_000)]
    for _ in range(12):
        cases.append(
            (
                generator.randint(10**8, 7 * 10**10),
                generator.randint(10**7, 10**9),
                generator.randint(10**6, 2 * 10**8),
            )
        )
    return cases


QLORA_BYTES = Exercise(
    id="06.qlora-bytes",
    title="What the parameters of a QLoRA step hold",
    objective="memory",
    task=(
        "Write `qlora_bytes(linear, other, adapter)`: the bytes that parameters, gradients and "
        "optimiser states hold in a QLoRA run, activations apart.\n\n"
        "- `linear` base weights are in NF4, blocks of 64, double quantisation: each block has an "
        "8-bit scale, and 256 scales share one in fp32;\n"
        "- `other` base parameters (embeddings, norms) are in bf16;\n"
        "- `adapter` parameters are in fp32, and so are their gradients and AdamW's states."
    ),
    answer="qlora_bytes",
    hints=(
        "Bits of one quantised weight: its code, its share of a scale, its share of the scales' "
        "scale. Eight bits make a byte.",
        "What is frozen has no gradient and no state.",
        "An adapter parameter: weight, gradient, two states, four bytes each.",
    ),
    check=FunctionCheck(
        cases=_qlora_cases,
        reference=_qlora_bytes,
        # The scales' own scale is worth 0.05 % of the base, the scales 3 %.
        relative_tolerance=1e-4,
        misconceptions=(
            Misconception(
                "gradients-in-base",
                "You give the 4-bit base gradients. It is frozen: gradients pass through it and "
                "collect in the adapter alone.",
                when=lambda results: _base_costs_more(results, (_BITS / 8, 0.5, 2, 4), (0, 2, 4)),
            ),
            Misconception(
                "states-for-base",
                "You give the base optimiser states. Only what is trained has them.",
                when=lambda results: _base_costs_more(results, (8, 10, 12), (0, 8, 10, 12)),
            ),
            Misconception(
                "adapters-quantised",
                "You count the adapter's weights in 4 bits. What is trained takes small steps: "
                "it stays in floating point, here 4 bytes each.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, w=weight, r=rest: (
                            linear * _BITS / 8 + other * 2 + adapter * (w + r)
                        )
                        for weight in (0.5, _BITS / 8)
                        for rest in (0, 4, 8, 12, 3 * weight)
                    ),
                ),
            ),
            Misconception(
                "scales-left-out",
                "4 bits are the codes alone. Each block of 64 also stores its scale: 8 bits, and "
                "a share of an fp32 one.",
                wrong=_with_bits(4),
            ),
            Misconception(
                "second-scales-left-out",
                "Very near: the 8-bit scales have a scale of their own, fp32 for 256 of them.",
                wrong=_with_bits(4 + 8 / 64),
            ),
            Misconception(
                "no-double-quantisation",
                "4.5 bits is NF4 with an fp32 scale for each block. Here the scales are quantised "
                "to 8 bits.",
                wrong=_with_bits(4.5),
            ),
            Misconception(
                "everything-quantised",
                "You quantised embeddings and norms too. bitsandbytes replaces the linear layers; "
                "the others keep 2 bytes.",
                wrong=lambda linear, other, adapter: (linear + other) * _BITS / 8 + adapter * 16,
            ),
            Misconception(
                "bits-for-bytes",
                "The base is counted in bits; eight of them make a byte.",
                wrong=lambda linear, other, adapter: linear * _BITS + other * 2 + adapter * 16,
            ),
            Misconception(
                "one-adam-state",
                "Four bytes an adapter parameter are missing: weight, gradient, and **two** Adam "
                "states.",
                wrong=lambda linear, other, adapter: linear * _BITS / 8 + other * 2 + adapter * 12,
            ),
            Misconception(
                "weights-only",
                "Those are the weights alone; the adapter's gradients and states belong to the "
                "run.",
                wrong=lambda linear, other, adapter: linear * _BITS / 8 + other * 2 + adapter * 4,
            ),
            Misconception(
                "in-gb",
                "That is in GB or GiB; the function should return bytes.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, u=unit: (
                            _qlora_bytes(linear, other, adapter) / u
                        )
                        for unit in (10**9, GIB)
                    ),
                ),
            ),
        ),
    ),
    praise="Half a byte and a bit for the base, two for what stays, sixteen for what is trained.",
)


def _base_costs_more(
    results: list[Any], linear_bytes: tuple[float, ...], other_bytes: tuple[float, ...]
) -> bool:
    """Return whether the base was charged this many bytes a parameter beyond its weights."""
    return _any_of(
        results,
        *(
            lambda linear, other, adapter, each=each, more=more: (
                _qlora_bytes(linear, other, adapter) + linear * each + other * more
            )
            for each in linear_bytes
            for more in other_bytes
        ),
    )


def _any_of(results: list[Any], *wrongs: Callable[..., float]) -> bool:
    cases = _qlora_cases(random.Random(SEED))
    return any(
        all(same(got, wrong(*case)) for got, case in zip(results, cases, strict=True))
        for wrong in wrongs
    )
