"""What an answer may do to its checker: nothing."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from exercise_cases.base import exercise, returning
from exercise_cases.hostile_values import HOSTILE, config

from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.base import FunctionCheck, judge
from labs_lib.assessment.plain import ForgedError, Other, Record, decode, encode

SECONDS = 0.2


@pytest.mark.parametrize("asked", ["00.trained-share", "04.lora-config"])
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_no_value_raises_or_hangs(asked, make):
    known = find_exercise(asked)
    check: Any = known.check
    short = dataclasses.replace(known, check=dataclasses.replace(check, seconds=SECONDS))
    outcome = judge(short, make())
    assert outcome.status in ("incorrect", "error")
    assert outcome.misconception != "not-judged"
    assert outcome.message.isprintable()
    assert len(outcome.message) <= 1000
    outcome.message.encode()


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("wanted", [7.5, [1.0, 2.0]])
def test_no_result_raises_or_hangs(wanted, make):
    check = FunctionCheck(lambda _: [(1,)], lambda _: wanted, seconds=SECONDS)
    outcome = judge(exercise(check), lambda _x: make())
    assert outcome.status in ("incorrect", "error")
    assert outcome.misconception != "not-judged"
    assert outcome.message.isprintable()
    assert len(outcome.message) <= 1000


def test_a_result_wanted_as_an_array_may_be_anything():
    for make in (HOSTILE["ragged"], HOSTILE["a very long int"], lambda: {"a": 1}, lambda: ["a"]):
        assert judge(returning(np.ones((2, 2))), lambda _x, make=make: make()).status == "incorrect"


@pytest.mark.parametrize(
    "source", ["f = 1", "def f(x:", "raise SystemExit", "while True: pass", "(" * 5000, "\x00", "f"]
)
def test_no_source_raises(source):
    check = FunctionCheck(lambda _: [(1,)], lambda _: 1, seconds=SECONDS)
    assert judge(exercise(check), source).status == "error"


def test_patching_the_comparison_in_the_other_process_changes_nothing():
    def answer(x):
        import labs_lib.assessment.exercises.comparing as comparing

        torch.allclose = torch.equal = math.isclose = lambda *_, **__: True
        comparing.same = lambda *_, **__: True
        sys.modules["labs_lib.assessment.exercises.base"].same = comparing.same  # type: ignore
        return torch.zeros(3)

    assert judge(returning(torch.ones(3)), answer).status == "incorrect"


def test_a_configuration_crosses_with_its_fields():
    crossed = decode(encode(config(r=4, target_modules=["a", "b"], bias="all")))
    assert isinstance(crossed, Record)
    assert crossed.type_name == "LoraConfig"
    assert (crossed.r, crossed.target_modules, crossed.bias) == (4, {"a", "b"}, "all")
    with pytest.raises(AttributeError, match="no field rank"):
        _ = crossed.rank


@pytest.mark.parametrize(
    "forged",
    [
        [], [1], {"odd": 1}, {"list": 3}, {"list": [[1]]}, {"dict": [[1, 2, 3]]}, {"dict": 1},
        {"array": "AA==", "dtype": "O", "shape": [1], "torch": False},
        {"array": "AAAA", "dtype": "<f4", "shape": [-7, 10**12], "torch": True},
        {"array": 3, "dtype": "<f4", "shape": [1], "torch": True},
        {"array": "", "dtype": "x" * 99, "shape": [0], "torch": True},
        {"other": "x"}, {"record": "x", "fields": [1]}, {},
    ],
)  # fmt: skip
def test_what_was_never_encoded_is_refused(forged):
    with pytest.raises(ForgedError):
        decode(forged)


def test_odd_containers_come_back():
    value = {(1, (2, 3)): {(4, 5)}, frozenset({1}): Other("lock")}
    assert decode(encode(value, tuples=True)) == value
