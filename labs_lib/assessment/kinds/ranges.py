"""The values that a drawn number may take."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from labs_lib.assessment.records import Number, Record, Whole

# Every combination of a question's numbers is tried up to this many; beyond it, every corner of
# the range and this many draws.
MOST_COMBINATIONS = 5_000


class Range(Record):
    """The values that one number of a parameterised question may take.

    Either `choices`, or every `step`-th whole number from `low` to `high`, both included.
    """

    choices: Annotated[tuple[Number, ...], Field(min_length=2, max_length=1000)] | None = None
    low: Whole | None = None
    high: Whole | None = None
    step: Annotated[Whole, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _one_way(self) -> Range:
        span = (self.low, self.high)
        if self.choices is not None:
            if span != (None, None):
                raise ValueError("give either choices, or low and high")
        elif self.low is None or self.high is None:
            raise ValueError("give either choices, or low and high")
        elif self.low >= self.high:
            raise ValueError("low must be below high")
        elif (self.high - self.low) // self.step > 1_000_000:
            raise ValueError("more than a million values")
        return self

    @property
    def values(self) -> Sequence[float]:
        """Return every value, in order; whole ones as int."""
        if self.choices is not None:
            return tuple(int(value) if value == int(value) else value for value in self.choices)
        assert self.low is not None
        assert self.high is not None
        return range(self.low, self.high + 1, self.step)


def drawn_numbers(ranges: Mapping[str, Range], question_id: str, seed: int) -> dict[str, float]:
    """Return the numbers that a student's seed draws for a question, the same everywhere."""
    # random.Random seeded with a string is specified to be the same on every machine.
    generator = random.Random(f"{seed}:{question_id}")
    return {name: generator.choice(ranges[name].values) for name in sorted(ranges)}


def combinations(ranges: Mapping[str, Range]) -> Iterator[dict[str, float]]:
    """Yield values for all names at once: all combinations, or a wide sample of too many."""
    values = [one.values for one in ranges.values()]
    if math.prod(len(one) for one in values) <= MOST_COMBINATIONS:
        chosen: Iterable[tuple[float, ...]] = itertools.product(*values)
    else:
        generator = random.Random(0)
        corners = itertools.product(*[(min(one), max(one)) for one in values])
        drawn = (tuple(generator.choice(one) for one in values) for _ in range(MOST_COMBINATIONS))
        chosen = itertools.chain(corners, drawn)
    for combination in chosen:
        yield dict(zip(ranges, combination, strict=True))
