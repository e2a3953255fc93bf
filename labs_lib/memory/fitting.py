"""Will it fit: the largest setting for a card, and what to turn first when it doesn't."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.memory.architecture import positions
from labs_lib.memory.closed_form import forecast
from labs_lib.memory.estimating import estimate
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.reserving import Reserved, reserved_for, reserved_of
from labs_lib.memory.result import GIB, Forecast, format_bytes
from labs_lib.models.catalogue import catalogue
from labs_lib.step.savings import SAVINGS
from labs_lib.yamls import read_yaml

if TYPE_CHECKING:
    from labs_lib.memory.sharding import Sharded

# What the driver and the CUDA context take: at least, and at most of any card.
CONTEXT_BYTES = 256 * 2**20
OVERHEAD_SHARE = 0.06

FITS, DOES_NOT_FIT, UNCERTAIN = "fits", "does not fit", "uncertain"
EXIT_STATUS = {FITS: 0, DOES_NOT_FIT: 1, UNCERTAIN: 3}
"""What `labs memory … --card` ends with; 2 is bad input, as everywhere."""
_LONGEST_SEARCHED = 32_768

By = Callable[[MemoryRequest], Forecast]


@dataclass(frozen=True)
class Card:
    """A GPU: `memory_bytes` as sold, `usable_bytes` as a training process finds it."""

    name: str
    memory_bytes: int

    @property
    def usable_bytes(self) -> int:
        """Return what a process can allocate: 6 % less than is built in."""
        return int(self.memory_bytes * (1 - OVERHEAD_SHARE))

    def verdict(self, reserved: Reserved) -> str:
        """Return "fits", "does not fit", or "uncertain" where the range holds both.

        It fits if the most that the allocator may reserve is usable, and does not if the tensors
        alone are more than is built in, less the smallest context.
        """
        if reserved.most_bytes <= self.usable_bytes:
            return FITS
        if reserved.least_bytes > self.memory_bytes - CONTEXT_BYTES:
            return DOES_NOT_FIT
        return UNCERTAIN


@dataclass(frozen=True)
class Change:
    """One setting to turn: what, the bytes that it wins after the ones before, and the cost."""

    setting: str
    saved_bytes: int
    peak_bytes: int
    costs: str


@dataclass(frozen=True)
class Fit:
    """Whether a request fits a card.

    `fits` compares the tensors at the peak with what is usable; `spare_bytes` is negative where
    they don't fit. `verdict` takes in what the allocator reserves beyond them, as a range.
    `largest` maps batch, seq_len and rank to the largest value that fits with all else unchanged
    (0: not even the smallest), `model` to the largest catalogue model (or ""). `changes` lists what
    to turn, in order, until it fits.
    """

    forecast: Forecast
    card: Card
    fits: bool
    verdict: str
    reserved: Reserved
    spare_bytes: int
    largest_batch: int
    largest_seq_len: int
    largest_rank: int
    largest_model: str
    changes: tuple[Change, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "card": self.card.name,
            "card_bytes": self.card.memory_bytes,
            "usable_bytes": self.card.usable_bytes,
            "fits": self.fits,
            "verdict": self.verdict,
            "reserved": self.reserved.as_dict(),
            "spare_bytes": self.spare_bytes,
            "largest": {
                "batch": self.largest_batch,
                "seq_len": self.largest_seq_len,
                "rank": self.largest_rank,
                "model": self.largest_model,
            },
            "changes": [vars(change) for change in self.changes],
        }


@dataclass(frozen=True)
class FitOfEach:
    """Whether a step fits each of several cards alike."""

    card: Card
    gpus: int
    verdict: str
    reserved: Reserved
    spare_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "card": self.card.name,
            "gpus": self.gpus,
            "usable_bytes": self.card.usable_bytes,
            "fits": self.spare_bytes >= 0,
            "verdict": self.verdict,
            "reserved": self.reserved.as_dict(),
            "spare_bytes": self.spare_bytes,
        }

    def __str__(self) -> str:
        least, most = (format_bytes(each) for each in self.reserved.range_bytes)
        usable = format_bytes(self.card.usable_bytes)
        return (
            f"{self.verdict.capitalize()} on {self.gpus} × {self.card.name} ({usable} usable on "
            f"each): with what torch's allocator reserves a GPU takes {least} to {most}."
        )


def fit_of_each(step: Sharded, on: Card) -> FitOfEach:
    """Say whether a step fits each of several cards."""
    reserved = reserved_for(step.request, step.peak_bytes)
    spare = on.usable_bytes - step.peak_bytes
    return FitOfEach(on, step.gpus, on.verdict(reserved), reserved, spare)


@functools.cache
def cards() -> dict[str, Card]:
    """Return the known cards by name, small ones first."""
    rows = read_yaml(Path(__file__).with_name("cards.yaml"))
    found = [Card(row["name"], int(row["memory_gib"] * GIB)) for row in rows]
    return {card.name: card for card in sorted(found, key=lambda card: card.memory_bytes)}


def card(name: str) -> Card:
    """Return the card of this name, in any case and with any spaces or dashes.

    Raises `LabError` with the nearest name, or with the cards of that size for a size in GB.
    """
    for each in cards().values():
        if _plain(each.name) == _plain(name):
            return each
    size = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?)\s*(?:gi?b?)?\s*", str(name), re.IGNORECASE)
    if size:
        wanted = float(size[1].replace(",", ".")) * GIB
        alike = [each.name for each in cards().values() if each.memory_bytes == wanted]
        part = [each for each in cards() if _plain(name) in _plain(each)]
        if alike and not part:
            raise LabError(
                f"card: {shorten(name)} is a size, not a name; with {size[1]} GiB there are "
                f"{', '.join(alike)}"
            )
        if part:
            raise LabError(f"card: {shorten(name)} is no name; did you mean {part[0]!r}?")
    raise choice_error("card", name, cards())


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", str(name)).lower()


def fit(request: MemoryRequest, on: Card | str, by: By = estimate) -> Fit:
    """Say whether the request fits the card, what the largest settings are, and what to turn.

    `by` gives the figures: the formula where it knows the model, or `traced` for every one.
    """
    on = card(on) if isinstance(on, str) else on
    room = on.usable_bytes
    now = by(request)
    reserved = reserved_of(now)

    def largest(setting: str, most: int, least: int = 1) -> int:
        return _largest(lambda v: by(request.but(**{setting: v})).peak_bytes, room, least, most)

    ranked = request.adapter is not None and request.adapter.has_rank
    return Fit(
        forecast=now,
        card=on,
        fits=now.peak_bytes <= room,
        verdict=on.verdict(reserved),
        reserved=reserved,
        spare_bytes=room - now.peak_bytes,
        largest_batch=largest("batch", 4096),
        largest_seq_len=longest_sequence(request, on, by),
        largest_rank=largest("rank", 4096) if ranked else 0,
        largest_model=largest_model(request, on),
        changes=() if now.peak_bytes <= room else changes_to_fit(request, now, room, by),
    )


def longest_sequence(request: MemoryRequest, on: Card, by: By = estimate) -> int:
    """Return the most tokens a sequence may have on the card, all else unchanged; 0 if none fits.

    It ends at the model's own number of positions; one that has no end is followed to 32,768.
    """
    return _largest(
        lambda tokens: by(request.but(seq_len=tokens)).peak_bytes,
        on.usable_bytes,
        2,
        positions(request.model) or _LONGEST_SEARCHED,
    )


def _largest(peak: Callable[[int], int], room: int, least: int, most: int) -> int:
    """Return the largest value whose peak is within the room; 0 if the least is not.

    A peak grows with every setting, nearly in a line, so each guess lies on the line through
    the two values that are known to fit and not to fit: a trace takes a second, and this takes
    a few of them.
    """
    low, at_low = least, peak(least)
    if at_low > room:
        return 0
    high, at_high = most, peak(most)
    if at_high <= room:
        return most
    halve = False
    while high - low > 1:
        guess = (low + high) // 2
        if not halve and at_high > at_low:
            guess = low + (high - low) * (room - at_low) // (at_high - at_low)
            guess = min(max(guess, low + 1), high - 1)
        at_guess = peak(guess)
        before = high - low
        if at_guess <= room:
            low, at_low = guess, at_guess
        else:
            high, at_high = guess, at_guess
        halve = 2 * (high - low) > before  # the line did not win half: a bend is between
    return low


def largest_model(request: MemoryRequest, on: Card) -> str:
    """Return the catalogue's largest model that fits the card, all else unchanged; "" if none.

    Of the families that the formula knows: to fit every other one would take minutes.
    """
    fitting: list[tuple[int, str]] = []
    for entry in catalogue().values():
        if entry.max_positions < request.seq_len:
            continue
        try:
            # Its own targets: a name such as q_proj is not there in every family.
            targets = request.targets if request.targets == ("all-linear",) else None
            peak = forecast(request.but(model=entry.name, targets=targets)).peak_bytes
        except LabError:
            continue
        if peak <= on.usable_bytes:
            fitting.append((entry.parameters, entry.name))
    return max(fitting)[1] if fitting else ""


def changes_to_fit(
    request: MemoryRequest, now: Forecast, room: int, by: By = estimate
) -> tuple[Change, ...]:
    """Turn settings, the cheapest in quality and time first, until the request fits."""
    turned: list[Change] = []
    peak = now.peak_bytes
    for saving in SAVINGS:
        fields = saving.turn(request)
        if not fields:
            continue
        try:
            candidate = request.but(**fields)
            after = by(candidate).peak_bytes
        except LabError:
            continue
        if after >= peak:
            continue
        turned.append(Change(saving.words(candidate), peak - after, after, saving.costs))
        request, peak = candidate, after
        if peak <= room:
            break
    return tuple(turned)


def describe(result: Fit) -> list[str]:
    """Return the answer in sentences, for a terminal or an instrument."""
    name, spare = result.card.name, result.spare_bytes
    usable = format_bytes(result.card.usable_bytes)
    least, most = (format_bytes(each) for each in result.reserved.range_bytes)
    between = f"with what torch's allocator reserves it takes {least} to {most}"
    if result.verdict == UNCERTAIN:
        lines = [f"Uncertain on {name} ({usable} usable): {between}."]
    elif result.verdict == FITS:
        lines = [f"Fits {name} ({usable} usable) with {format_bytes(spare)} to spare; {between}."]
    else:
        lines = [f"Does not fit {name} ({usable} usable): {format_bytes(-spare)} too much."]
    for number, change in enumerate(result.changes, 1):
        lines.append(
            f"{number}. {change.setting}: saves {format_bytes(change.saved_bytes)}, "
            f"peak {format_bytes(change.peak_bytes)} (costs: {change.costs})"
        )
    if result.changes and result.changes[-1].peak_bytes > result.card.usable_bytes:
        lines.append("Even then it does not fit: choose a smaller model or a larger card.")
    return lines
