"""Numbers as people type them: units, thousands separators, digits of any script."""

from __future__ import annotations

import math
import re
import unicodedata

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
_PLAIN = ("parameters", "bits", "bits/parameter", "bytes/parameter", "%", "tokens", "steps", "x")

UNITS: dict[str, tuple[str, float]] = {
    **{unit: ("bytes", float(size)) for unit, size in _BYTES.items()},
    **{unit: ("time", float(size)) for unit, size in _TIME.items()},
    **{unit: (unit, 1.0) for unit in _PLAIN},
}

_SPELLINGS = {
    **{unit.casefold(): unit for unit in UNITS},
    **{"b": "B", "byte": "B", "bytes": "B", "×": "x", "times": "x", "percent": "%"},
    **{"param": "parameters", "params": "parameters", "parameter": "parameters"},
    **{"sec": "s", "second": "s", "seconds": "s", "minutes": "min", "hours": "h"},
    **{"bit": "bits", "token": "tokens", "step": "steps"},
}
_MULTIPLES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "bn": 1e9,
              "billion": 1e9}  # fmt: skip

_NUMBER = re.compile(r"([+-]?)(\d[\d ,_']*(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3}))?\s*(.*)", re.S)
_GROUPED = re.compile(r"\d{1,3}(?:([ ,_'])\d{3})(?:\1\d{3})*(?:\.\d*)?")
LONGEST = 200


class NumberError(ValueError):
    """The text is no number, or in no unit that the question can convert."""


def parse_quantity(value: object, unit: str | None) -> float:
    """Return what a person typed as a number in `unit`.

    Takes numbers and text: thousands separators (`4,194,304`, `4 194 304`), digits of any
    script, `2e-4`, `4.2 million`, `14.1 GB`. A bare number is in the question's own unit.
    Raises NumberError in one line otherwise, for NaN and for infinity too.
    """
    kind = type(value)
    if kind is int or kind is float:
        return _finite(value)
    if isinstance(value, str):
        return _parse_text(value, unit)
    if isinstance(value, bool) or value is None:
        raise NumberError(f"{value!r} is not a number")
    # A NumPy or torch scalar; anything else that claims to be a number must be a real one.
    item = getattr(value, "item", None)
    try:
        plain = item() if callable(item) else value
    except (ValueError, RuntimeError, TypeError):
        plain = None
    if type(plain) in (int, float):
        return _finite(plain)
    raise NumberError(f"a {kind.__name__} is not a number")


def _finite(value: object) -> float:
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except OverflowError:
        raise NumberError("the number is too large") from None
    if not math.isfinite(number):
        raise NumberError(f"{number} is not a finite number")
    return number


def _parse_text(text: str, unit: str | None) -> float:
    if len(text) > LONGEST:
        raise NumberError(f"{len(text):,} characters are not a number")
    plain = text.strip()
    if not plain.isascii():
        if any(letter.isdigit() and not letter.isdecimal() for letter in plain):
            raise NumberError(f"{plain[:60]!r}: write powers like 1e9, not with raised digits")
        plain = ascii_digits(unicodedata.normalize("NFKC", plain)).replace("−", "-")
    match = _NUMBER.fullmatch(plain)
    if match is None:
        raise NumberError(f"{text.strip()[:60]!r} is not a number")
    sign, digits, exponent, rest = match.groups()
    number = _finite(sign + _without_separators(digits.strip(), text) + "e" + (exponent or "0"))
    return _finite(_in_unit(number, rest.strip(), unit, text)) if rest else number


def _without_separators(digits: str, text: str) -> str:
    if digits.replace(".", "", 1).isdigit():
        return digits
    if _GROUPED.fullmatch(digits):
        return re.sub("[ ,_']", "", digits)
    if re.fullmatch(r"\d+,\d+", digits):  # a decimal comma: 14,1
        return digits.replace(",", ".")
    raise NumberError(f"{text.strip()[:60]!r} is not a number; write it like 4,194,304 or 0.5")


def _in_unit(number: float, given: str, unit: str | None, text: str) -> float:
    folded = given.casefold().rstrip(".")
    head, _, tail = folded.partition(" ")
    if head in _MULTIPLES and (unit is None or UNITS[unit][0] != "time"):
        number *= _MULTIPLES[head]
        folded = tail.strip()
        if not folded:
            return number
    # Mb and mb are read as MB: nobody counts weights in millibits.
    spelt = given if given in UNITS else _SPELLINGS.get(folded)
    if spelt is None:
        raise NumberError(f"{text.strip()[:60]!r}: unit {given[:20]!r} is not known here")
    family, size = UNITS[spelt]
    if unit is None:
        raise NumberError(f"{text.strip()[:60]!r}: the answer has no unit")
    wanted_family, wanted = UNITS[unit]
    if family != wanted_family:
        raise NumberError(f"{text.strip()[:60]!r}: the answer is wanted in {unit}")
    return number * size / wanted


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


def ascii_digits(text: str) -> str:
    """Return `text` with the decimal digits of every script as 0 to 9."""
    return "".join(
        str(unicodedata.decimal(letter)) if not letter.isascii() and letter.isdecimal() else letter
        for letter in text
    )
