"""A number of any library as Python's own: NumPy's, torch's, Decimal, Fraction."""

from __future__ import annotations

import math
import numbers
import sys
from decimal import Decimal
from typing import Any


def plain_number(value: object) -> bool | int | float | None:
    """Return a single number as Python's bool, int or float; None for what is not one.

    Takes Python's, NumPy's and torch's numbers, arrays and tensors of exactly one element in any
    number of dimensions, Decimal, Fraction, and what registers itself as `numbers.Real`. NaN and
    infinity are returned as they are, for the caller to refuse. Text, complex numbers, dates and
    several numbers are None. Never raises.
    """
    number = scalar_number(value)
    if number is not None:
        return number
    try:
        return _in_array(value, type(value))
    except Exception:  # a library's or a stranger's conversion failed: no number to be had
        return None


def scalar_number(value: object) -> bool | int | float | None:
    """Return a number that is none of an array as Python's own; None for arrays and all else.

    As `plain_number`, for whoever keeps the shape of an array.
    """
    kind = type(value)
    if kind is bool or kind is int or kind is float:
        return value  # pyright: ignore[reportReturnType]
    # Types are asked, not `isinstance`, which would believe an object's own `__class__`.
    if issubclass(kind, float):
        return float.__float__(value)  # pyright: ignore[reportArgumentType]
    if issubclass(kind, int):
        return int.__int__(value)  # pyright: ignore[reportArgumentType]
    try:
        return _foreign_scalar(value, kind)
    except Exception:  # as above
        return None


def _in_array(value: Any, kind: type) -> bool | int | float | None:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and issubclass(kind, numpy.ndarray):
        return _of_array(value, numpy)
    if torch is not None and issubclass(kind, torch.Tensor):
        # A meta tensor has a shape and no value: its item() raises.
        return _own(value.detach().item()) if value.numel() == 1 else None
    return None


def _foreign_scalar(value: Any, kind: type) -> bool | int | float | None:
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.generic):
        return _of_array(value, numpy)
    if issubclass(kind, Decimal):
        return _of_decimal(Decimal(value))
    if issubclass(kind, numbers.Integral):
        return int(value)
    if issubclass(kind, numbers.Rational):
        return _of_ratio(int(value.numerator), int(value.denominator))
    return float(value) if issubclass(kind, numbers.Real) else None


def _of_array(value: Any, numpy: Any) -> bool | int | float | None:
    array = numpy.asarray(value)
    if array.size != 1 or numpy.ma.is_masked(value):
        return None
    if array.dtype.kind == "f":
        return float(array.reshape(())[()])  # item() leaves a long double as it is
    # "O": NumPy keeps a whole number beyond 64 bits as an object.
    return _own(array.item()) if array.dtype.kind in "biuO" else None


def _of_decimal(value: Decimal) -> int | float:
    # Beyond float's range, int() would write out every digit of the exponent.
    if value.is_finite() and value.adjusted() < 400 and value == value.to_integral_value():
        return int(value)
    return math.nan if value.is_nan() else float(value)


def _of_ratio(numerator: int, denominator: int) -> int | float:
    if denominator == 1:
        return numerator
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


def _own(value: object) -> bool | int | float | None:
    return value if type(value) in (bool, int, float) else None  # pyright: ignore[reportReturnType]
