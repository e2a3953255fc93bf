"""Numbers as people write them: separators, signs, fractions, powers and sums of any script."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from labs_lib.assessment.formula import Formula

LONGEST = 200


class NumberError(ValueError):
    """The text is no number, or in no unit that the question can convert."""


class AmbiguousNumberError(NumberError):
    """The text is one of two numbers: `1,234` is 1234 to some and 1.234 to others.

    `readings` are both, the likelier one first; `likely` says whether the first is what nearly
    everybody means (`14,000`).
    """

    def __init__(self, text: str, readings: tuple[float, float], likely: bool = False):
        first, second = (f"{reading:.15g}" for reading in readings)
        super().__init__(f"{text[:40]!r} can mean {first} or {second}; write it as one of these")
        self.text = text
        self.readings = readings
        self.likely = likely


@dataclass(frozen=True, slots=True)
class Written:
    """What a text says: the number, the text after it (a unit), and the number's other reading."""

    number: float
    rest: str = ""
    other: AmbiguousNumberError | None = None


_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d(?:[ ,._'](?=\d)|\d)*[.,]?(?![\d])|[.,]\d+)"
    r"(?:[eE][+-]?\d{1,4}(?![\d.]))?)|(?P<sign>\*\*|[-+*/^()]))"
)
_ABOUT = re.compile(r"(?:(?:about|around|approximately|approx\.?|ca\.?|circa|roughly)\s|[~=])\s*")
_RANGE = re.compile(
    r".*\d\s*(?:\.\.|±|\+-|\+/-|-|to\b|or\b|and\b|…)[^\d(]*\d|.*between\b|\s*(?:[<>≤≥]|(?:at least|"
    r"at most|more than|less than|over|under)\b)",
    re.S,
)
# 1×10⁻⁴ copied from a page comes as 1×10−4, which as a sum is 6.
_FALLEN_POWER = re.compile(r"([-+]?\d+(?:[.,]\d+)?) ?\* ?10 ?- ?(\d{1,2})(?![\d.,*^/]).*")
_SIGNS = str.maketrans({
    **dict.fromkeys("−–—‐‑‒﹣", "-"), **dict.fromkeys("×·⋅∙∗✕", "*"), **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("≈≃≅∼≐", "~"), **dict.fromkeys("’ʼ‘′٬", "'"), "٫": ".", "،": ",",
    **dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff", ""),
})  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


def read_number(text: str, whole: bool = False) -> Written:
    """Read the number that a text begins with; `whole` says that it counts things.

    Takes `4,194,304`, `4.194.304`, `4 194 304`, `1'234`, `0,373`, `1.234,5`, `.5`, `½`, `2 1/2`,
    `3/4`, `2e-4`, `1,5·10³`, `2^10`, `8 * (4096 + 4096)`, `≈ 5`, digits of any script. Raises
    NumberError, in one line, for anything else; AmbiguousNumberError where a comma may stand for
    thousands or for decimals.
    """
    if len(text) > LONGEST:
        raise NumberError(f"{len(text):,} characters are not a number")
    if _PLAIN.fullmatch(text) and not (whole and "." in text):
        return Written(float(text))
    plain = _ascii(text)
    about = _ABOUT.match(plain.lower())
    if about:
        plain = plain[about.end() :]
    if power := _FALLEN_POWER.fullmatch(plain):
        meant = f"{power[1]}e-{power[2]}"
        raise NumberError(f"{_shown(text)}: write {meant} for the power, or work the sum out")
    tokens, rest = _tokens(plain, whole, text)
    numbers = [token for token in tokens if not isinstance(token, str)]
    if _RANGE.match(plain) and (len(tokens) < 4 or rest) and not rest.startswith("-fold"):
        # 5-6 may be a range or a sum; a longer sum is one.
        raise NumberError(f"{_shown(text)} is more than one number; give the one you would bet on")
    if not numbers:
        raise NumberError(f"{_shown(text)} is not a number; write it like 4194304 or 0.5")
    ambiguous = [token for token in numbers if isinstance(token, AmbiguousNumberError)]
    if len(numbers) == 1 and len(tokens) <= 2:
        return _alone(tokens, rest, text)
    if ambiguous:
        raise ambiguous[0]
    return Written(_worked_out(tokens, text), rest)


def _alone(tokens: list[str | float | AmbiguousNumberError], rest: str, text: str) -> Written:
    """Return the only number of a text, which a sign may stand before."""
    *before, number = tokens
    if before not in ([], ["-"], ["+"]) or isinstance(number, str):
        raise NumberError(f"{_shown(text)} is not a number; write it like 4194304 or 0.5")
    sign = -1.0 if before == ["-"] else 1.0
    if isinstance(number, AmbiguousNumberError):
        first, second = (sign * reading for reading in number.readings)
        both = AmbiguousNumberError(text.strip(), (first, second), number.likely)
        return Written(first, rest, both)
    return Written(sign * number, rest)


def ascii_digits(text: str) -> str:
    """Return `text` with the decimal digits of every script as 0 to 9."""
    return "".join(
        str(unicodedata.decimal(letter)) if not letter.isascii() and letter.isdecimal() else letter
        for letter in text
    )


def _ascii(text: str) -> str:
    """Return the text with one kind of digit, space, sign and separator."""
    plain = text.strip()
    if not plain.isascii():
        plain = "".join(_fraction(letter) for letter in plain)
        # 10⁻³ and 2¹⁰; any other raised digit may be a footnote's.
        plain = re.sub(
            r"(?<![\d.,])(2|10)([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})",
            lambda power: f"{power[1]}^{power[2].translate(_RAISED)}",
            plain,
        )
        if any(letter.isdigit() and not letter.isdecimal() for letter in plain):
            raise NumberError(f"{_shown(text)}: write powers like 1e9, not with raised digits")
        plain = unicodedata.normalize("NFKC", plain.translate(_SIGNS)).translate(_SIGNS)
        plain = ascii_digits(plain)
    plain = re.sub(r"(?<=\d) [eE](?=[-+]?\d)", "e", " ".join(plain.split()).rstrip("!?;, "))
    plain = re.sub(r"(?<=\.\d)(\d*)\.$", r"\1", plain)  # a sentence's full stop
    if re.match(r"[-+]?0[xX]", plain):
        raise NumberError(f"{_shown(text)} is not a number; write it in decimals")
    # "2 x 8" multiplies; "2x" is twice, and is left to the units.
    return re.sub(r"(?<=[\d)])\s*[xX]\s*(?=[\d(.])", "*", plain).replace("**", "^")


def _fraction(letter: str) -> str:
    """Return ½ as " 1/2", so that 2½ becomes two and a half; any other letter as it is."""
    if letter.isdigit() or unicodedata.category(letter) != "No":
        return letter
    parts = unicodedata.normalize("NFKC", letter).split("⁄")
    return f" {parts[0]}/{parts[1]}" if len(parts) == 2 else letter


def _tokens(
    plain: str, whole: bool, text: str
) -> tuple[list[str | float | AmbiguousNumberError], str]:
    """Return numbers and signs up to the first letter, and what follows."""
    tokens: list[str | float | AmbiguousNumberError] = []
    mixed = re.match(r"([-+]?)(\d+) (\d+)/(\d+)(?![\d.,/^*])\s*", plain)
    if mixed and int(mixed[3]) < int(mixed[4]) <= 1000:
        number = int(mixed[2]) + int(mixed[3]) / int(mixed[4])
        return [*([mixed[1]] if mixed[1] else []), float(number)], plain[mixed.end() :]
    place = 0
    while match := _TOKEN.match(plain, place):
        if match["sign"]:
            # A sign that only a unit follows is no sum: "2*" is twice, "5 - 6" a range.
            tokens.append(match["sign"])
        else:
            if tokens and not isinstance(tokens[-1], str):
                raise NumberError(f"{_shown(text)} is not a number; write it like 4194304 or 0.5")
            tokens.append(_number(match["number"], whole, text))
        place = match.end()
    rest = plain[place:].strip()
    if tokens and tokens[-1] == "-" and rest == "fold":
        tokens.pop()
    if tokens and tokens[-1] == "*":
        tokens.pop()
        rest = f"x {rest}".strip()
    elif tokens and tokens[0] == "*" and not rest:
        tokens.pop(0)
        rest = "x"
    if not tokens and rest[:1] in "xX" and rest[1:2].isdigit():
        return _tokens(rest[1:] + " x", whole, text)
    return tokens, rest


def _number(written: str, whole: bool, text: str) -> float | AmbiguousNumberError:
    """Read one number with its separators."""
    digits, marker, exponent = re.fullmatch(r"([^eE]*)([eE]?)(.*)", written).groups()  # pyright: ignore[reportOptionalMemberAccess]
    power = f"e{exponent}" if marker else ""
    if re.search(r"[ _']", digits):
        grouped = re.fullmatch(r"\d{1,3}(?:([ '])\d{3})(?:\1\d{3})*([.,]\d*)?", digits)
        underscores = re.fullmatch(r"\d+(?:_\d+)+([.]\d*)?", digits)
        if not grouped and not underscores:
            raise NumberError(f"{_shown(text)} is not a number; write it like 4194304 or 0.5")
        return _value(re.sub(r"[ _']", "", digits).replace(",", ".") + power)
    commas, points = digits.count(","), digits.count(".")
    if commas and points:
        decimal = "," if digits.rfind(",") > digits.rfind(".") else "."
        return _value(_joined(digits, decimal, text) + power)
    separator = "," if commas else "."
    if commas + points > 1:
        return _value(
            _joined(digits + ("." if commas else ","), "." if commas else ",", text) + power
        )
    head, _, tail = digits.partition(separator)
    groups = len(tail) == 3 and 1 <= len(head) <= 3 and not head.startswith("0")
    plain = _value(f"{head or '0'}.{tail or '0'}{power}")
    if not groups or (points and not whole):
        return plain
    joined = _value(f"{head}{tail}{power}")
    if commas and whole and not power:
        return joined  # nobody counts 1.234 parameters
    return AmbiguousNumberError(
        text.strip(), (joined, plain), likely=tail == "000" and bool(commas)
    )


def _joined(digits: str, decimal: str, text: str) -> str:
    """Take the separators of thousands out; `decimal` comes once, after them."""
    other = "." if decimal == "," else ","
    head, _, tail = digits.rpartition(decimal)
    thousands = re.escape(other)
    # As in India too: 12,34,567.
    if not re.fullmatch(rf"\d{{1,3}}(?:{thousands}\d{{3}})+|\d{{1,2}}(?:,\d\d)+,\d{{3}}", head):
        raise NumberError(f"{_shown(text)} is not a number; write it like 4194304 or 0.5")
    return f"{head.replace(other, '')}.{tail or '0'}"


def _worked_out(tokens: list[str | float | AmbiguousNumberError], text: str) -> float:
    parts = [token if isinstance(token, str) else _exact(token) for token in tokens]
    try:
        return Formula(" ".join(parts)).value({})
    except ValueError:
        raise NumberError(f"{_shown(text)} cannot be worked out to a number") from None


def _exact(number: float | AmbiguousNumberError) -> str:
    assert not isinstance(number, AmbiguousNumberError)
    return str(int(number)) if number == int(number) and abs(number) < 2**53 else repr(number)


def _value(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NumberError("the number is too large")
    return number


def _shown(text: str) -> str:
    return repr(text.strip()[:60])
