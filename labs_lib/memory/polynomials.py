"""Bytes as a polynomial of a step's length, batch and rank, and the largest of several such.

A tensor's size is a product of its shape's numbers, each of which grows in a line with length,
batch or rank or with none of them. A sum of such sizes is a polynomial; a peak, the largest of the
sums at every operation of a step, is the largest of a few polynomials.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXPONENTS = tuple(itertools.product(range(3), range(2), range(2)))
"""The powers of (length, batch, rank) in the terms of a polynomial, in their order."""

Polynomial = Sequence[float]
"""One coefficient for each of `EXPONENTS`."""


def powers(seq_len: int, batch: int, rank: int) -> list[int]:
    """Return what the coefficients of a polynomial are multiplied with."""
    return [seq_len**s * batch**b * rank**r for s, b, r in EXPONENTS]


def at(polynomial: Polynomial, powers: Sequence[int]) -> int:
    """Return the polynomial's value."""
    return round(sum(c * p for c, p in zip(polynomial, powers, strict=True) if c))


@dataclass(frozen=True)
class Trained:
    """Trained tensors that are alike: each number of their shape is `constant + slope · rank`.

    `reached` says whether they get a gradient: a batch of text leaves a vision tower's without.
    """

    shape: tuple[tuple[float, float], ...]
    reached: bool
    many: int

    def at(self, rank: int) -> tuple[tuple[int, ...], int]:
        """Return the shape and how many there are."""
        return tuple(round(constant + slope * rank) for constant, slope in self.shape), self.many


@dataclass(frozen=True)
class Moment:
    """A moment of the step in which some request has its peak: what is alive by kind."""

    name: str
    alive: dict[str, Polynomial]


@dataclass(frozen=True)
class Curves:
    """The memory of one model's step without its optimizer, at any length, batch and rank.

    `moments` are those that can hold the peak; `loaded`, `forward` and `stepping` are what is alive
    by kind when the model is loaded, when the loss is there, and when the optimizer begins.
    """

    moments: tuple[Moment, ...]
    loaded: dict[str, Polynomial]
    forward: dict[str, Polynomial]
    stepping: dict[str, Polynomial]
    trained: tuple[Trained, ...]
    trained_itemsize: int
    base_parameters: int
    model_type: str
    request: dict[str, Any]
    notes: tuple[str, ...]
    traces: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, content: dict[str, Any]) -> Curves:
        """Return what `as_dict` was made of; raises `KeyError` or `TypeError` for anything else."""
        moments = tuple(Moment(**each) for each in content["moments"])
        trained = tuple(
            Trained(tuple((a, b) for a, b in each["shape"]), each["reached"], each["many"])
            for each in content["trained"]
        )
        notes = tuple(content["notes"])
        rebuilt: dict[str, Any] = {"moments": moments, "trained": trained, "notes": notes}
        return cls(**{**content, **rebuilt})
