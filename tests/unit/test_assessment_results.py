"""What a right result may look like: much. What a wrong one is told: what sets it apart."""

from __future__ import annotations

import collections
import decimal
import enum
import fractions
import types

import numpy as np
import pytest
import torch
from exercise_cases.base import exercise, returning

from labs_lib.assessment.exercises.base import Property, ValueCheck, judge, same


class Point(tuple):
    __slots__ = ()


Pair = collections.namedtuple("Pair", "a b")


class Whole(enum.IntEnum):
    SEVEN = 7


RIGHT = [  # wanted, a result that a fair teacher takes
    (7, lambda: 7.0),
    (7, lambda: Whole.SEVEN),
    (7, lambda: fractions.Fraction(14, 2)),
    (7.5, lambda: decimal.Decimal("7.5")),
    (7.5, lambda: fractions.Fraction(15, 2)),
    (7.5, lambda: np.float32(7.5)),
    (7.5, lambda: np.array([[7.5]])),
    (7, lambda: np.int64(7)),
    (7, lambda: torch.tensor(7)),
    (7.5, lambda: torch.tensor([7.5], dtype=torch.bfloat16, requires_grad=True)),
    (2**70, lambda: 2**70),
    (True, lambda: 1),
    (False, lambda: 0.0),
    (7, lambda: np.longdouble(7)),
    (7, lambda: decimal.Decimal("7.0")),
    (True, lambda: np.bool_(True)),
    (True, lambda: torch.tensor(True)),
    ("test", lambda: " Test"),
    ([1, 2], lambda: (1, 2)),
    ((1, 2), lambda: [1.0, 2.0]),
    ((1, 2), lambda: Pair(1, 2)),
    ([1, 2], lambda: Point([1, 2])),
    ([0, 1, 2], lambda: range(3)),
    ([0, 1, 4], lambda: (n * n for n in range(3))),
    ([0, 1, 2], lambda: map(int, "012")),
    ([1, 2], lambda: {"a": 1, "b": 2}.values()),
    ([1, 2], lambda: collections.deque([1, 2])),
    ([1, 2], lambda: collections.UserList([1, 2])),
    ([1.0, 2.0], lambda: np.array([1, 2])),
    ([[1, 2], [3, 4]], lambda: torch.tensor([[1, 2], [3, 4]])),
    ([1, [2, 3]], lambda: np.array([1, [2, 3]], dtype=object)),
    ({"a": 1}, lambda: collections.OrderedDict(a=1)),
    ({"a": 1}, lambda: collections.UserDict(a=1)),
    ({"a": 1}, lambda: types.MappingProxyType({"a": 1})),
    ({"a": [1, 2]}, lambda: collections.defaultdict(list, a=(1, 2))),
    ({1, 2}, lambda: frozenset([2, 1])),
    ("array", lambda: [[1.0, 2.0], [3.0, 4.0]]),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).double()),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).to_sparse()),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).to_sparse_csr()),
    ("array", lambda: np.array([[1, 2], [3, 4]], dtype=">i4")),
]


@pytest.mark.parametrize(("wanted", "make"), RIGHT)
def test_a_right_result_of_another_type_is_right(wanted, make):
    wanted = np.array([[1.0, 2], [3, 4]]) if wanted == "array" else wanted
    assert judge(returning(wanted), lambda _x: make()).status == "correct"


@pytest.mark.parametrize(("wanted", "make"), [row for row in RIGHT if not callable(row[0])][:15])
def test_a_right_value_of_another_type_is_right(wanted, make):
    check = ValueCheck((Property(lambda value: same(value, wanted), "No."),), observe=lambda v: v)
    value = make()
    value = value if not callable(value) else value.value
    assert judge(exercise(check), value).status == "correct"


FORMS = [  # wanted, the same in another form, what is said
    ("row", lambda: np.arange(4.0)[None], "shape (4,)"),
    ("row", lambda: torch.arange(4.0)[:, None], "shape (4,)"),
    ("row", lambda: [[0, 1, 2, 3]], "shape (4,)"),
    ([1, 2, 3], lambda: [[1, 2, 3]], "3 values"),
    ([1, 2], lambda: {1, 2}, "no order"),
    ((1, 2), lambda: {"a": 1, "b": 2}, "tuple"),
    (7, lambda: "7", "not text"),
    (1234.5, lambda: "1,234.5", "not text"),
    (0.373, lambda: "0,373", "not text"),
    ([0.5, 1200], lambda: ["1/2", "1 200"], "not text"),
    (7, lambda: [7], "the number itself"),
    (True, lambda: "true", "True or False"),
    (3.14159, lambda: 3.14, "not rounded"),
    ([3.14159, 2.71828], lambda: (3.14, 2.72), "not rounded"),
    (None, lambda: "None", "None, not text"),
    ("row", lambda: {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}, "not a dict"),
    ("row", lambda: {0.0, 1.0, 2.0, 3.0}, "no order"),
    ("row", lambda: ["0", "1", "2", "3"], "not text"),
    ("thirds", lambda: (torch.arange(4.0) / 3).bfloat16(), "rounded to 16 bits"),
    ((1, None), lambda: ("1", "none"), "not text"),
]


@pytest.mark.parametrize(("wanted", "make", "said"), FORMS)
def test_right_values_in_another_form_are_told_the_form(wanted, make, said):
    rows = {"row": np.arange(4.0), "thirds": np.arange(4.0) / 3}
    wanted = rows.get(wanted, wanted) if isinstance(wanted, str) else wanted
    outcome = judge(returning(wanted), lambda _x: make())
    assert outcome.status == "error", outcome
    assert said in outcome.message, outcome


WRONG = [  # wanted, a result that looks alike and is not
    (7, lambda: 8),
    (7, lambda: True),
    (1, lambda: True),
    (True, lambda: 2),
    (True, lambda: "yes"),
    (7, lambda: "8"),
    (7.5, lambda: 7.0),
    (3.14159, lambda: 3.0),
    ([1, 2], lambda: [2, 1]),
    ([1, 2], lambda: {1, 3}),
    ([1, 1], lambda: [1]),
    (10**400, lambda: 10**400 + 1),
    (10**400, lambda: float("inf")),
    ("row", lambda: np.arange(4.0)[::-1]),
    ("row", lambda: np.arange(4.0).reshape(2, 2)),
    ("row", lambda: np.arange(5.0)),
    ({"a": 1}, lambda: {"a": 1, "b": 2}),
    ("test", lambda: "tests"),
    (None, lambda: "nothing"),
    ("row", lambda: ["0", "1", "2", "4"]),
    ("row", lambda: {0: 3.0, 1: 1.0, 2: 2.0, 3: 0.0}),
    ("row", lambda: torch.tensor([0, 1, 2, 3.5]).bfloat16()),
    (None, lambda: 0),
]


@pytest.mark.parametrize(("wanted", "make"), WRONG)
def test_a_wrong_result_is_wrong(wanted, make):
    wanted = np.arange(4.0) if isinstance(wanted, str) and wanted == "row" else wanted
    assert judge(returning(wanted), lambda _x: make()).status == "incorrect"


MESSAGES = [  # wanted, result, what the message says
    (7, 7.9999999, "returned 7.9999999; expected 7"),
    (7.0, 7.01, "returned 7.01; expected 7"),
    (1000000.0, 1001000.5, "returned 1001000.5; expected 1e+06"),
    (24, None, "returned None; expected 24"),
    ([1, 2.5, 3], [1, 2.75, 3], "returned 2.75 in place 1; expected 2.5"),
    (7, lambda: 2**10**5, "a whole number of some"),
]


@pytest.mark.parametrize(("wanted", "result", "said"), MESSAGES)
def test_a_message_shows_the_difference(wanted, result, said):
    def answer(x):
        return result() if callable(result) else result

    assert said in judge(returning(wanted), answer).message
