"""Cases of lesson 00's exercise."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

SHARE = "00.trained-share"


def numpy_share() -> Any:
    import numpy as np

    return np.float32(0.3426)


def tensor_share() -> Any:
    import torch

    return torch.tensor([460_800 / 134_515_008 * 100])


CASES: list[Case] = [
    (SHARE, 460_800 / 134_515_008 * 100, "correct", "third of one percent"),
    (SHARE, 0.34, "correct", "third of one percent"),
    (SHARE, 100 * 460_800 / (134_515_008 + 460_800), "correct", "third of one percent"),
    (SHARE, build(numpy_share), "correct", "third of one percent"),
    (SHARE, build(tensor_share), "correct", "third of one percent"),
    (SHARE, Fraction(460_800 * 100, 134_515_008), "correct", "third of one percent"),
    (SHARE, Decimal("0.3426"), "correct", "third of one percent"),
    (SHARE, [0.34], "error", "should be a number, not a list"),
    (SHARE, "0.34 %", "error", "should be a number, not a str: write the number alone"),
    (SHARE, (0, 3426), "error", "not a tuple: a comma makes two numbers of one"),
    (SHARE, (0.34,), "error", "should be a number, not a tuple."),
    (SHARE, float, "error", "a class was given"),
    (SHARE, 0.3, "incorrect", "not the share"),
    (SHARE, -0.3426, "incorrect", "not the share"),
    (SHARE, float("inf"), "incorrect", "not the share"),
    (SHARE, build(lambda: 10**5000), "incorrect", "not the share"),
    (SHARE, True, "error", "should be a number"),
    (SHARE, lambda: 0.34, "error", "a function was given"),
    (SHARE, 460_800 / 134_515_008, "incorrect", "in percent it is 100 times"),
    (SHARE, 134_515_008 / 460_800, "incorrect", "how many times the model is larger"),
    (SHARE, 100 - 0.34257, "incorrect", "share that stayed frozen"),
    (SHARE, 1.78, "incorrect", "share of the run above"),
    (SHARE, 7, "incorrect", "not the share"),
    (SHARE, "0.34", "error", "should be a number, not a str"),
    (SHARE, float("nan"), "incorrect", "not the share"),
]  # fmt: skip
