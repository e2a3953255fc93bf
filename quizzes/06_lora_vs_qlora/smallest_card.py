"""The smallest card that holds a step."""

from __future__ import annotations

import random
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

GIB = 2**30
_SHARE = 0.94


def _smallest(peak: int, cards: list[int], share: float = _SHARE, unit: int = GIB) -> int | None:
    return min((card for card in cards if share * card * unit >= peak), default=None)


def _first_in_list(peak: int, cards: list[int]) -> int | None:
    return next((card for card in cards if _SHARE * card * GIB >= peak), None)


def _largest_of(peak: int, cards: list[int]) -> int | None:
    return max((card for card in cards if _SHARE * card * GIB >= peak), default=None)


def _card_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # 23.0 GiB: within 24 GiB but not within what is usable; 38.01 GB: fits 40 GiB, not 40 GB.
    cases: list[tuple[Any, ...]] = [
        (int(23.0 * GIB), [80, 16, 48, 24, 40]),
        (38_010_000_000, [40, 48, 24]),
        (int(200 * GIB), [80, 16, 48, 24, 40]),
        (int(6.34 * GIB), [80, 16, 48, 24, 40]),
        (int(15.9 * 10**9), [80, 16, 48, 24, 40]),
        (24_100_000_000, [80, 16, 48, 24, 40]),  # 94 % of 24 GiB are 24.22 GB
        (10, [40, 16]),  # fits whatever the unit: a comparison of bytes with GiB returns None else
    ]
    for _ in range(20):
        chosen = generator.sample([12, 16, 24, 32, 40, 48, 80, 141], 5)
        cases.append((generator.randint(5 * GIB, 100 * GIB), chosen))
    return cases


CARD = Exercise(
    id="06.smallest-card",
    title="The smallest card that will do",
    objective="scale",
    task=(
        "Write `smallest_card(peak_bytes, cards)`: which of the cards, given by their memory in "
        "**GiB**, is the smallest that can hold a step with this peak? A process finds 94 % of a "
        "card's memory free. Return the card's GiB, or `None` if none of them will do."
    ),
    answer="smallest_card",
    hints=(
        "How many bytes has a card of 24 GiB? 24 × 2³⁰.",
        "Of these, 94 % can be used.",
        "The list is in no particular order, and may hold no card that is large enough.",
    ),
    check=FunctionCheck(
        cases=_card_cases,
        reference=_smallest,
        misconceptions=(
            Misconception(
                "gb-for-gib",
                "You took a GiB for 10⁹ bytes. It is 2³⁰, so every card is 7 % larger than you "
                "think, and you send people shopping for nothing.",
                wrong=lambda peak, cards: _smallest(peak, cards, unit=10**9),
            ),
            Misconception(
                "all-of-the-card",
                "You use the whole card. Driver, CUDA and the allocator's gaps take some: only "
                "94 % are there for the step.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1.0),
            ),
            Misconception(
                "both-mistakes",
                "Two things at once, which nearly cancel: a GiB is 2³⁰ bytes, not 10⁹, and 94 % of "
                "them are usable. Together they are 1 % from 10⁹, and one case lies in between.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1.0, unit=10**9),
            ),
            Misconception(
                "share-upside-down",
                "You divide by 0.94, which makes the card larger than it is sold; multiply.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1 / _SHARE),
            ),
            Misconception(
                "first-in-list",
                "You return the first card that fits; the list is not sorted, and a smaller one "
                "may follow.",
                wrong=_first_in_list,
            ),
            Misconception(
                "largest",
                "You return the largest card that fits; the smallest was asked for.",
                wrong=_largest_of,
            ),
            Misconception(
                "bytes-against-gib",
                "You compare a number of GiB with a number of bytes, so no card ever seems large "
                "enough: multiply the card's GiB by 2**30 first.",
                wrong=lambda peak, cards: _smallest(peak, cards, unit=1),
            ),
            Misconception(
                "in-bytes",
                "You return the card in bytes; its GiB, as in the list, were asked for.",
                when=lambda results: any(
                    isinstance(each, (int, float)) and 10**9 < each < 10**15 for each in results
                ),
            ),
        ),
    ),
    praise="Units first, then the share, then the smallest: in that order.",
)
