"""Numbers of the command line, as people write them."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import click

from labs_lib.assessment.written_numbers import AmbiguousNumberError, NumberError, read_number
from labs_lib.errors import LabError, shorten

_MULTIPLES = {"k": 1024, "m": 1024**2}
_LARGEST_MEANT = 10**15


class WholeNumber(click.ParamType):
    """A whole number: `8`, `1_024`, `8.0` or `1e3`; an error names the nearest."""

    name = "integer"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number; fail in one line for what is none."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        with contextlib.suppress(ValueError):
            return int(text)
        with contextlib.suppress(ValueError):
            number = float(text)
            if number.is_integer():
                return int(number)
        hint = _nearest(text)
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
        """Return the number; fail in one line for what is none, or may be one of two."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            written = read_number(str(value))
        except AmbiguousNumberError as error:
            self.fail(str(error), param, ctx)
        except NumberError:
            written = None
        if written is None or written.rest:
            self.fail(f"{str(value).strip()[:40]!r} is not a number, such as 0.1", param, ctx)
        if written.other:
            self.fail(str(written.other), param, ctx)
        return written.number


WHOLE, DECIMAL = WholeNumber(), DecimalNumber()


def read_seeds(text: str) -> list[int]:
    """Return the seeds in a list such as "0,1,2", each once; `LabError` for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    legal = all(re.fullmatch(r"[0-9]{1,10}", part) and int(part) < 2**32 for part in parts)
    if not parts or not legal:
        raise LabError(f"--seeds: {shorten(text)} is no list of whole numbers such as 0,1,2")
    return list(dict.fromkeys(map(int, parts)))


def _nearest(text: str) -> int | None:
    """Return the whole number that was probably meant: 2k, 4,096, 7.6, 8x."""
    try:
        written = read_number(text, whole=True)
    except NumberError:
        return None
    number = written.number * _MULTIPLES.get(written.rest.lower(), 1)
    return round(number) if abs(number) < _LARGEST_MEANT else None
