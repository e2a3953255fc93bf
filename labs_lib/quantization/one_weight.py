"""One weight on a 4-bit code book: where it snaps to, and what a merge keeps of an update.

Plain Python numbers, so that a page computes the same to the last digit; loads no torch.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from labs_lib.errors import LabError, shorten


@dataclass(frozen=True)
class Snapped:
    """A weight and the nearest value of its block's code book.

    `code` is a position in the book; `value` that entry, from −1 to 1. All else is in the
    weight's own unit: `restored` is the value times the absmax, `error` restored − weight. Weights
    above `lowest` and up to `highest` have this code; the two are infinite at the book's ends.
    """

    code: int
    value: float
    restored: float
    error: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class MergedWeight:
    """One weight of a base before and after an update is merged into it.

    In 4 bits the restored weight and the update are added and the sum is snapped again; `kept` is
    how far that moves the weight, and an update from `least_down` to `least_up` moves it nowhere.
    In 16 bits `start_16` is the weight in bf16, `end_16` the sum rounded to bf16. All in the
    weight's unit.
    """

    before: Snapped
    after: Snapped
    kept: float
    least_down: float
    least_up: float
    start_16: float
    end_16: float


def snap_weight(weight: float, absmax: float, book: Sequence[float]) -> Snapped:
    """Return the nearest of the `book`'s ascending values for a weight of a block.

    A weight half-way between two values gets the smaller one, as in bitsandbytes. Raises
    `LabError` for an absmax that is not above zero, and for a weight beyond it.
    """
    for field, number in (("weight", weight), ("absmax", absmax)):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise LabError(f"{shorten(number)} is no number", field)
    if not 0 < absmax < math.inf:
        raise LabError(
            f"{absmax:g} is not above zero; it is the largest |weight| of a block", "absmax"
        )
    if not abs(weight) <= absmax:
        raise LabError(f"{weight:g} is beyond the absmax {absmax:g} of its block", "weight")
    return _snapped(weight, absmax, book)


def merge_update(
    weight: float, update: float, absmax: float, book: Sequence[float]
) -> MergedWeight:
    """Return what becomes of one weight when an update is merged in 4 bits and in 16.

    The block's absmax is taken to stay what it was; a sum beyond it gets the book's last value.
    Raises `LabError` as `snap_weight` does, and for an update that is no finite number.
    """
    before = snap_weight(weight, absmax, book)
    if (
        isinstance(update, bool)
        or not isinstance(update, (int, float))
        or not math.isfinite(update)
    ):
        raise LabError(f"{shorten(update)} is no finite number", "update")
    after = _snapped(before.restored + update, absmax, book)
    start = to_bf16(weight)
    return MergedWeight(
        before=before,
        after=after,
        kept=after.restored - before.restored,
        least_down=before.lowest - before.restored,
        least_up=before.highest - before.restored,
        start_16=start,
        end_16=to_bf16(start + update),
    )


def to_bf16(number: float) -> float:
    """Return the bf16 number nearest to a finite one, by way of fp32; ties go to even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", number))
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return struct.unpack("<f", struct.pack("<I", rounded))[0]


def _snapped(weight: float, absmax: float, book: Sequence[float]) -> Snapped:
    borders = [(low + high) / 2 for low, high in pairwise(book)]
    scaled = weight / absmax
    code = sum(scaled > border for border in borders)
    edges = [-math.inf, *borders, math.inf]
    restored = book[code] * absmax
    return Snapped(
        code=code,
        value=book[code],
        restored=restored,
        error=restored - weight,
        lowest=edges[code] * absmax,
        highest=edges[code + 1] * absmax,
    )
