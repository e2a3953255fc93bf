"""Numbers of the command line, as people write them."""

from __future__ import annotations

import re
from typing import Any

import click

_LONGEST = 20
_SUFFIXES = {"k": 1024, "m": 1024**2}


class WholeNumber(click.ParamType):
    """A whole number: `8`, `1_024`, `8.0` or `1e3`; anything else is told the nearest one."""

    name = "integer"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number; fail in one line for what is none."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        try:
            return int(text)
        except ValueError:
            pass
        number = _float(text)
        if number is not None and number.is_integer():
            return int(number)
        hint = _nearest(text, number)
        self.fail(
            f"{text[:40]!r} is not a whole number{f'; did you mean {hint}?' if hint else ''}",
            param,
            ctx,
        )


class WholeRange(click.IntRange):
    """A whole number within limits, read as `WholeNumber` reads it."""

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number; fail in one line for what is none, or beyond the limits."""
        return super().convert(WHOLE.convert(value, param, ctx), param, ctx)


class DecimalNumber(click.ParamType):
    """A number: `0.1`, or `0,1` where the comma can be nothing but a decimal one."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number; fail in one line for what is none."""
        text = str(value).strip()
        if re.fullmatch(r"[+-]?(0?,\d+|\d+,(\d{1,2}|\d{4,}))", text):
            text = text.replace(",", ".")
        number = _float(text)
        if number is None:
            self.fail(f"{text[:40]!r} is not a number, such as 0.1", param, ctx)
        return number


WHOLE, DECIMAL = WholeNumber(), DecimalNumber()


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    finite = number == number and abs(number) != float("inf")
    return number if finite else None


def _nearest(text: str, number: float | None) -> int | None:
    """Return the whole number that was probably meant: 2k, 4,096, 7.6, 8x."""
    grouped = re.fullmatch(r"[1-9]\d{0,2}([,.' ]\d{3})+", text[: _LONGEST + 1])
    if grouped and len(text) <= _LONGEST:
        return int(re.sub(r"\D", "", text))
    if number is not None:
        return round(number)
    if len(text) > _LONGEST:
        return None
    short = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*([kKmM])", text)
    if short:
        return round(float(short[1].replace(",", ".")) * _SUFFIXES[short[2].lower()])
    comma = re.fullmatch(r"(\d+),\d+", text)
    first = comma or re.match(r"(\d+)(?!\w*\d)", text)
    return int(first[1]) if first else None
