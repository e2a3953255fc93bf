"""How many adapters one card serves beside their base."""

from __future__ import annotations

from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

GIB = 2**30
# Llama-2-7B, and LoRA of rank 16 on its linear layers.
BASE, ADAPTER = 6_738_415_616, 39_976_960
CARD, CACHE, SHARE = 24, 4, 0.94


def _adapters(
    share: float = SHARE,
    unit: float = GIB,
    base: int = 2 * BASE,
    cache: int = CACHE,
    bytes_each: int = 2,
) -> int:
    return int((share * CARD * unit - base - cache * unit) // (bytes_each * ADAPTER))


def _is(*values: float) -> Callable[[float], bool]:
    return lambda given: any(given == value for value in values)


SERVING = Exercise(
    id="08.adapters-on-card",
    title="Adapters on one card",
    objective="serve",
    difficulty="easy",
    task=(
        f"A card of {CARD} GiB serves Llama-2-7B. A process can use 94 % of it. The base has "
        f"{BASE:,} parameters in 16 bits, and the attention cache of the requests gets {CACHE} "
        f"GiB. Each customer has an adapter of {ADAPTER:,} parameters, also in 16 bits. For how "
        "many customers is there room? Set `adapters`."
    ),
    answer="adapters",
    hints=(
        "The base is in memory once.",
        "Subtract the base and the cache from what can be used, in bytes.",
        "Divide what is left by the bytes of one adapter, and round down.",
    ),
    check=ValueCheck(
        observe=number_of("adapters"),
        properties=(
            Property(
                _is(_adapters()),
                "Not the number: take usable bytes, less the base, less the cache, and see how "
                "many adapters fit into the rest.",
            ),
        ),
        misconceptions=(
            Misconception(
                "rounded-up",
                "You rounded up. The last adapter would not fit any more.",
                when=_is(_adapters() + 1),
            ),
            Misconception(
                "not-rounded",
                "A part of an adapter serves nobody: round down to a whole number.",
                when=lambda given: _adapters() < given < _adapters() + 1,
            ),
            Misconception(
                "cache-forgotten",
                "You left out the attention cache, which every request needs.",
                when=_is(_adapters(cache=0)),
            ),
            Misconception(
                "base-forgotten",
                "You left out the base, which is in memory once.",
                when=_is(_adapters(base=0)),
            ),
            Misconception(
                "whole-card",
                "You used all of the card; a process finds 94 % of it.",
                when=_is(_adapters(share=1)),
            ),
            Misconception(
                "gb-for-gib",
                "You took a GiB for 10⁹ bytes; it is 2³⁰.",
                when=_is(_adapters(unit=1e9)),
            ),
            Misconception(
                "32-bit-adapters",
                "You counted 4 bytes for each parameter of an adapter; 16 bits are 2 bytes.",
                when=_is(_adapters(bytes_each=4)),
            ),
            Misconception(
                "merged-copies",
                "You counted a copy of the base for each customer. They share one.",
                when=_is(0, 1),
            ),
        ),
    ),
    praise=f"{_adapters()} customers, where merged copies would serve one.",
)
