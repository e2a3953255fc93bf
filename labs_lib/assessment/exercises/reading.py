"""Values as students write them, read as a fair teacher reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.outcomes import WrongFormError
from labs_lib.errors import kind_of

__all__ = ["WrongFormError", "number_of", "truth_of"]


def number_of(name: str) -> Callable[[Any], float]:
    """Return a reader of one number, of any library's type; `name` is what the cell sets.

    The reader raises WrongFormError for anything else, and for a truth value.
    """

    def read(value: Any) -> float:
        number = plain_number(value)
        if number is None or isinstance(number, bool):
            raise WrongFormError(f"{name} should be a number, not {_given(value)}")
        return number

    return read


def _given(value: Any) -> str:
    """Return what was given for a number, and what to change where that is plain to see."""
    kind = cast("type[Any]", type(value))
    if issubclass(kind, str):
        return f"{kind_of(value)}: write the number alone, without quotes"
    if kind is tuple and len(value) == 2:
        # Its parts may be anything; what a comma in a number leaves are two whole ones.
        return f"{kind_of(value)}: a comma makes two numbers of one, and decimals follow a point"
    return kind_of(value)


def truth_of(value: Any) -> bool | None:
    """Return True or False for a truth value, 0 or 1 of any library; None for what is neither."""
    number = plain_number(value)
    return bool(number) if number in (0, 1) else None
