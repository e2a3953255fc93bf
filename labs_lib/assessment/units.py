"""Numbers as people type them: units, thousands separators, digits of any script."""

from __future__ import annotations

import math
import re
from typing import Any, cast

from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.written_numbers import (
    AmbiguousNumberError,
    NumberError,
    ascii_digits,
    read_number,
)
from labs_lib.errors import kind_of

__all__ = [
    "UNITS",
    "AmbiguousNumberError",
    "NumberError",
    "ascii_digits",
    "byte_confusion",
    "is_fraction_of_percent",
    "parse_quantity",
]

# unit → how many of its family's smallest; only units of one family convert.
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_TIME = {"ms": 1, "s": 10**3, "min": 60 * 10**3, "h": 3600 * 10**3}
_DENSITY = {"bits/parameter": 1, "bytes/parameter": 8}
_PLAIN = ("parameters", "bits", "%", "tokens", "steps", "x")

UNITS: dict[str, tuple[str, float]] = {
    **{unit: ("bytes", float(size)) for unit, size in _BYTES.items()},
    **{unit: ("time", float(size)) for unit, size in _TIME.items()},
    **{unit: ("bits a parameter", float(bits)) for unit, bits in _DENSITY.items()},
    **{unit: (unit, 1.0) for unit in _PLAIN},
}

_LONG = {
    **{f"{word}byte": f"{letter}B" for word, letter in zip(
        ("kilo", "mega", "giga", "tera"), "kMGT", strict=True)},
    **{f"{word}byte": f"{letter}iB" for word, letter in zip(
        ("kibi", "mebi", "gibi", "tebi"), "KMGT", strict=True)},
}  # fmt: skip
_SPELLINGS = {
    **{unit.casefold(): unit for unit in UNITS},
    **{"b": "B", "byte": "B", "bytes": "B", "×": "x", "*": "x", "times": "x", "fold": "x"},
    **{"-fold": "x", "percent": "%", "per cent": "%", "pct": "%", "percentage points": "%"},
    **{f"{prefix}i": f"{prefix.upper()}iB" for prefix in "kmgt"},
    **{f"{word}{s}": unit for word, unit in _LONG.items() for s in ("", "s")},
    **{"bit/parameter": "bits/parameter", "byte/parameter": "bytes/parameter"},
    **{"b/parameter": "bytes/parameter", "weights": "parameters", "weight": "parameters"},
    **{"param": "parameters", "params": "parameters", "parameter": "parameters"},
    **{"sec": "s", "second": "s", "seconds": "s", "minutes": "min", "hours": "h"},
    **{"secs": "s", "mins": "min", "minute": "min", "hr": "h", "hrs": "h", "hour": "h"},
    **{"msec": "ms", "millisecond": "ms", "milliseconds": "ms"},
    **{
        f"{letter}{byte}": f"{letter.upper() if letter != 'k' else letter}B"
        for letter in "kmgt"
        for byte in ("o", "byte", "bytes")
    },  # Go: a French GB
    **{"bit": "bits", "token": "tokens", "step": "steps"},
}
_MULTIPLES = {"thousand": 1e3, "mn": 1e6, "mio": 1e6, "mill": 1e6, "million": 1e6,
              "millions": 1e6, "bn": 1e9, "mrd": 1e9, "billion": 1e9, "billions": 1e9,
              "tn": 1e12, "trillion": 1e12}  # fmt: skip
_LETTERS = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
# Units that count things: half a token there is none.
_WHOLE = ("parameters", "tokens", "steps", "B")


def parse_quantity(value: Any, unit: str | None) -> float:
    """Return what a person typed as a number in `unit`.

    Takes numbers of any library, and text as `read_number` does, with a unit or without:
    `4.2 million`, `14.1 GB`, `373MB`. A bare number is in the question's own unit. Raises
    NumberError in one line otherwise, for NaN and for infinity too; AmbiguousNumberError, with
    both readings in `unit`, for `1,234`.
    """
    kind = cast("type[Any]", type(value))
    if kind is int or kind is float:
        return _finite(value)
    if issubclass(kind, str):
        return _parse_text(str.__str__(value), unit)
    number = plain_number(value)
    if isinstance(number, bool) or value is None:
        raise NumberError(f"{number} is not a number")
    if number is None:
        raise NumberError(f"{kind_of(value)} is not a number; give the number alone")
    return _as_written(value, _finite(number))


def _finite(value: object) -> float:
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except OverflowError:
        raise NumberError("the number is too large") from None
    if not math.isfinite(number):
        name = "NaN" if math.isnan(number) else "infinity"
        raise NumberError(f"{name} is not a finite number")
    return number


def _as_written(value: Any, number: float) -> float:
    """Return 0.1 for a 32-bit 0.1, which is 0.100000001490116 in 64 bits."""
    try:
        array = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        if array.dtype.kind == "f" and array.dtype.itemsize < 8:
            return float(str(array.reshape(())[()]))
    except (AttributeError, TypeError, ValueError, RuntimeError):  # not NumPy's, or bfloat16
        pass
    return number


def _parse_text(text: str, unit: str | None) -> float:
    written = read_number(text, whole=unit in _WHOLE)
    if not written.rest and written.other is None:
        return _finite(written.number)
    # A multiple or another unit makes decimals of a count possible: 4,194 million.
    if written.rest and unit in _WHOLE and not _is_own(written.rest, unit):
        written = read_number(text)
    factor = _factor(written.rest, unit, text) if written.rest else 1.0
    if written.other is not None:
        first, second = (_finite(reading * factor) for reading in written.other.readings)
        raise AmbiguousNumberError(text.strip(), (first, second), written.other.likely)
    return _finite(written.number * factor)


def _is_own(given: str, unit: str | None) -> bool:
    return given == unit or _SPELLINGS.get(_folded(given)) == unit


def _folded(given: str) -> str:
    folded = " ".join(given.casefold().split()).rstrip(".!")
    folded = re.sub(r"\s*(?:/|\bper\b)\s*(?=(?:parameter|param|weight)s?$)", "/", folded)
    return re.sub(r"/(?:parameter|param|weight)s?$", "/parameter", folded)


def _factor(given: str, unit: str | None, text: str) -> float:
    """Return by what a number with the unit `given` is multiplied to be one in `unit`."""
    folded = _folded(given)
    head, _, tail = folded.partition(" ")
    factor = 1.0
    if head.rstrip(".") in _MULTIPLES and _family(unit) != "time":
        factor = _MULTIPLES[head.rstrip(".")]
    elif head in _LETTERS and _family(unit) in (None, "parameters", "tokens", "steps"):
        factor = _LETTERS[head]
    if factor != 1.0:
        folded = given = tail.strip()
        if not folded:
            return factor
    # Mb and mb are read as MB: nobody counts weights in millibits.
    spelt = given if given in UNITS else _SPELLINGS.get(folded)
    if spelt is None:
        shown = f"{text.strip()[:60]!r}"
        if _family(unit) == "bytes" and folded in ("k", "m", "g", "t"):
            letter = folded.upper()
            raise NumberError(f"{shown}: write {letter}B or {letter}iB; {letter} can mean either")
        legal = f"the answer is wanted in {unit}" if unit else "the answer has no unit"
        raise NumberError(f"{shown}: unit {given[:20]!r} is not known here; {legal}")
    family, size = UNITS[spelt]
    if unit is None:
        raise NumberError(f"{text.strip()[:60]!r}: the answer has no unit")
    own_family, own_size = UNITS[unit]
    if family != own_family:
        raise NumberError(f"{text.strip()[:60]!r}: the answer is wanted in {unit}")
    return factor * size / own_size


def _family(unit: str | None) -> str | None:
    return UNITS[unit][0] if unit is not None else None


def byte_confusion(number: float, answer: float, width: float, unit: str | None) -> str:
    """Return how `number` confuses powers of 1000 and of 1024, or an empty string.

    `number` and `answer` are in `unit`; `width` is the tolerance around the answer.
    """
    if unit is None or UNITS[unit][0] != "bytes" or unit == "B":
        return ""
    power = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}[unit[0]]
    factor = 1.024**power
    binary = unit.endswith("iB")
    other = unit.replace("iB", "B").replace("K", "k") if binary else f"{unit[0].upper()}iB"
    wrong_way = answer * factor if binary else answer / factor
    if abs(number - wrong_way) > width * max(wrong_way / answer, 1) if answer else True:
        return ""
    sizes = {True: f"1024^{power}", False: f"1000^{power}"}
    return (
        f"That is the right amount in {other}, but {unit} was asked for: "
        f"1 {unit} is {sizes[binary]} bytes, 1 {other} is {sizes[not binary]}."
    )


def is_fraction_of_percent(number: float, answer: float, width: float, unit: str | None) -> bool:
    """Return whether `number` is the right share as a fraction, where percent was asked for."""
    return unit == "%" and abs(100 * number - answer) <= width
