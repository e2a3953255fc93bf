"""The numbers of an answer, each bound to the evidence that gives it, or to none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labs_lib.interview.evidence import Evidence, Item

_UNITS = {
    "%": "%", "percent": "%", "gib": "GiB", "gb": "GB", "mib": "MiB", "mb": "MB", "times": "times",
    "x": "times", "×": "times", "fold": "times", "points": "points", "point": "points", "s": "s",
    "seconds": "s", "ms": "ms", "nats": "nats", "bits": "bits", "parameters": "parameters",
}  # fmt: skip
_NUMBER = re.compile(
    r"(?<![\w.,])([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)(?!\.?[0-9])[\s-]*"
    rf"({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})?(?![A-Za-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Bound:
    """A number of an answer, as written, and the item that gives it; None where there is none.

    `unit` is the item's unit where the answer has another one, as GB for GiB, and else empty.
    """

    written: str
    item: Item | None
    unit: str = ""

    @property
    def text(self) -> str:
        """Return one sentence on where the number comes from."""
        if self.item is None:
            return f"“{self.written}”: no evidence here has this number. Say where it comes from."
        unit = f" Check the unit: it is in {self.unit} there." if self.unit else ""
        return f"“{self.written}”: {self.item.shows} ({self.item.source}).{unit}"


def bind(answer: str, evidence: Evidence) -> tuple[Bound, ...]:
    """Return the numbers of an answer that have a unit or decimals, in order, each once.

    A number is bound to the first item that is there and has it, rounded as the answer rounds it.
    """
    own = [(item, list(_numbers(item.number))) for item in evidence.own]
    found: dict[str, Bound] = {}
    for written, number, unit in _numbers(answer):
        if unit or "." in written:
            found.setdefault(written, _bound(written, number, unit, own))
    return tuple(found.values())


def _bound(
    written: str, number: str, unit: str, own: list[tuple[Item, list[tuple[str, str, str]]]]
) -> Bound:
    decimals = len(number.partition(".")[2])
    alike = [
        (item, other)
        for item, numbers in own
        for _, value, other in numbers
        if abs(_value(value) - _value(number)) <= 0.5 * 10**-decimals
    ]
    if not alike:
        return Bound(written, None)
    item, other = next(((i, o) for i, o in alike if o == unit), alike[0])
    return Bound(written, item, other if unit and other and other != unit else "")


def _numbers(text: str) -> list[tuple[str, str, str]]:
    """Return each number as it is written with its unit, the number alone, and the unit's name."""
    return [
        (match[0].strip(), match[1], _UNITS.get((match[2] or "").lower(), ""))
        for match in _NUMBER.finditer(text)
    ]


def _value(number: str) -> float:
    return float(number.replace(",", ""))
