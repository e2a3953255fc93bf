"""One helper reads a number of any library; a second one reads numbers as people write them."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
import sympy
import torch
import yaml

from labs_lib.assessment.formula import Formula
from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.units import AmbiguousNumberError, NumberError, parse_quantity


class Level(enum.IntEnum):
    HIGH = 3


class Meters(float):
    def __float__(self):
        raise RuntimeError("no float")


class Liar:
    """Claims to be a float, and raises where it is asked for more."""

    @property
    def __class__(self):
        raise RuntimeError("no class")

    def item(self):
        return 5

    def __float__(self):
        raise RuntimeError("no float")


class Posing:
    __class__ = float  # type: ignore[assignment]


NUMBERS = [
    (3, 3), (True, True), (2.5, 2.5), (Level.HIGH, 3), (Meters(2.0), 2.0), (10**5000, 10**5000),
    (numpy.float64(2.5), 2.5), (numpy.float32(2.5), 2.5), (numpy.float16(2.5), 2.5),
    (numpy.longdouble(2.5), 2.5), (numpy.int8(-3), -3), (numpy.int64(3), 3), (numpy.uint64(3), 3),
    (numpy.bool_(True), True), (numpy.array(3), 3), (numpy.array([2.5]), 2.5),
    (numpy.array([[[2.5]]], dtype=numpy.float32), 2.5), (numpy.array([10**30]), 10**30),
    (torch.tensor(3), 3), (torch.tensor([2.5]), 2.5), (torch.tensor([[2.5]]), 2.5),
    (torch.tensor(2.5, dtype=torch.bfloat16), 2.5), (torch.tensor(2.5, dtype=torch.float16), 2.5),
    (torch.tensor(True), True), (torch.tensor(2.5, requires_grad=True), 2.5),
    (torch.nn.Parameter(torch.tensor([2.5])), 2.5), (torch.tensor(3, dtype=torch.uint8), 3),
    (Decimal("2.5"), 2.5), (Decimal("3.0"), 3), (Decimal("1e-999999"), 0.0), (Decimal("-0.0"), 0),
    (Decimal("1e999999"), math.inf), (Decimal("-Infinity"), -math.inf),
    (Fraction(5, 2), 2.5), (Fraction(6, 2), 3), (Fraction(-(10**5000), 3), -math.inf),
    (sympy.Integer(3), 3), (sympy.Rational(5, 2), 2.5), (sympy.Float(2.5), 2.5),
]  # fmt: skip
NO_NUMBERS = [
    None, ..., "3", b"3", 2j, numpy.complex64(2j), torch.tensor(2j), [3], (3,), {3}, {"a": 3},
    numpy.array([1, 2]), numpy.array([]), numpy.array("3"), numpy.str_("3"), numpy.ma.masked,
    numpy.datetime64("2024-01-01", "ns"), numpy.timedelta64(3, "s"), numpy.array([None]),
    torch.tensor([1, 2]), torch.tensor([]), torch.tensor(3, device="meta"),
    datetime.timedelta(3), object(), Posing(), int, lambda: 3,
]  # fmt: skip


@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=lambda each: type(each).__name__)
def test_a_number_of_any_library_is_pythons_own(value, number):
    got = plain_number(value)
    assert got == number
    assert type(got) is type(number)


@pytest.mark.parametrize("value", [numpy.nan, numpy.float32("nan"), torch.tensor(math.nan),
                                   Decimal("NaN"), Decimal("sNaN")])  # fmt: skip
def test_not_a_number_stays_so(value):
    got = plain_number(value)
    assert isinstance(got, float)
    assert math.isnan(got)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda each: type(each).__name__)
def test_what_is_no_single_number_is_none(value):
    assert plain_number(value) is None


def test_an_object_that_lies_about_its_class_is_no_number():
    assert plain_number(Liar()) is None


def test_the_students_decimal_context_does_not_matter():
    with decimal.localcontext() as context:
        context.traps[decimal.InvalidOperation] = True
        context.prec = 1
        assert plain_number(Decimal("12345")) == 12345


# As people write them

CASES = yaml.safe_load(
    (Path(__file__).parent / "assessment_cases" / "written_numbers.yaml").read_text("utf-8")
)


def unit_of(unit: str) -> str | None:
    return None if unit == "-" else unit


@pytest.mark.parametrize(("text", "unit", "number"), CASES["read"])
def test_a_number_is_read_as_it_is_written(text, unit, number):
    assert parse_quantity(text, unit_of(unit)) == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize(("text", "unit", "readings"), CASES["two_readings"])
def test_a_number_of_two_readings_is_asked_back_with_both(text, unit, readings):
    with pytest.raises(AmbiguousNumberError, match="can mean") as caught:
        parse_quantity(text, unit_of(unit))
    assert caught.value.readings == pytest.approx(readings)


@pytest.mark.parametrize(("text", "unit", "message"), CASES["asked_back"])
def test_what_is_no_number_is_asked_back_in_one_line(text, unit, message):
    with pytest.raises(NumberError, match=message) as caught:
        parse_quantity(text, unit_of(unit))
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, AmbiguousNumberError)


@pytest.mark.parametrize("kind", [numpy.float32, numpy.float16, torch.tensor, Decimal, str])
def test_a_tenth_of_any_precision_is_a_tenth(kind):
    assert parse_quantity(kind("0.1" if kind in (Decimal, str) else 0.1), None) == 0.1


# Formulas

FORMULAS = yaml.safe_load(
    (Path(__file__).parent / "assessment_cases" / "formulas.yaml").read_text("utf-8")
)
NAMED = {"alpha": 16, "r": 8, "d": 64, "k": 32}


@pytest.mark.parametrize(("text", "value"), FORMULAS["read"])
def test_a_formula_is_read_in_any_notation(text, value):
    assert Formula(text).value(NAMED) == pytest.approx(value)
    assert Formula(text).names <= set(NAMED)


BOMBS = ["(" * 240 + "1" + ")" * 240, "-" * 490 + "q", "9" * 490, "9" * 200 + "**2"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", [*FORMULAS["refused"], *BOMBS])
def test_a_formula_that_is_no_arithmetic_or_a_bomb_is_refused_at_once(text):
    with pytest.raises(ValueError, match=r"formula|power|product|digits") as caught:
        Formula(text).value(NAMED)
    assert "\n" not in str(caught.value)
