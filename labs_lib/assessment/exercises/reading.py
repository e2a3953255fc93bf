"""Values as students write them, read as a fair teacher reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.numbers import plain_number
from labs_lib.errors import kind_of


class WrongFormError(TypeError):
    """An answer of a form that the exercise did not ask for; the message is shown as it is."""


def number_of(name: str) -> Callable[[Any], float]:
    """Return a reader of one number, of any library's type; `name` is what the cell sets.

    The reader raises WrongFormError for anything else, and for a truth value.
    """

    def read(value: Any) -> float:
        number = plain_number(value)
        if number is None or isinstance(number, bool):
            raise WrongFormError(f"{name} should be a number, not {kind_of(value)}")
        return number

    return read


def truth_of(value: Any) -> bool | None:
    """Return True or False for a truth value, 0 or 1 of any library; None for what is neither."""
    number = plain_number(value)
    return bool(number) if number in (0, 1) else None
