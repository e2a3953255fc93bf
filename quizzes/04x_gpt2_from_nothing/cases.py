"""Cases of lesson 04x's exercise."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

COUNT = "04x.adapter-count"


def numpy_count() -> Any:
    import numpy as np

    return np.int64(147_456)


CASES: list[Case] = [
    (COUNT, 147_456.0, "correct", "147,456"),
    (COUNT, Fraction(294_912, 2), "correct", "147,456"),
    (COUNT, build(numpy_count), "correct", "147,456"),
    (COUNT, 73_728, "incorrect", "square matrix"),
    (COUNT, 221_184, "incorrect", "an adapter each"),
    (COUNT, 12_288, "incorrect", "one layer"),
    (COUNT, 21_233_664, "incorrect", "frozen matrices"),
    (COUNT, 147_000, "incorrect", "c_attn's shape"),
    (COUNT, "147456", "error", "should be a number"),
]
