"""Cases of lesson 00's exercise."""

from __future__ import annotations

from exercise_cases.base import Case

SHARE = "00.trained-share"

CASES: list[Case] = [
    (SHARE, 460_800 / 134_515_008 * 100, "correct", "third of one percent"),
    (SHARE, 0.34, "correct", "third of one percent"),
    (SHARE, 100 * 460_800 / (134_515_008 + 460_800), "correct", "third of one percent"),
    (SHARE, 460_800 / 134_515_008, "incorrect", "in percent it is 100 times"),
    (SHARE, 134_515_008 / 460_800, "incorrect", "how many times the model is larger"),
    (SHARE, 100 - 0.34257, "incorrect", "share that stayed frozen"),
    (SHARE, 1.78, "incorrect", "share of the run above"),
    (SHARE, 7, "incorrect", "not the share"),
    (SHARE, "0.34", "error", "should be a number, not a str"),
    (SHARE, float("nan"), "incorrect", "not the share"),
]  # fmt: skip
