"""Cases of lesson 08's exercises."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

SERVING, PAIRED, FAULT = "08.adapters-on-card", "08.gained-lost", "08.first-fault"
GIB = 2**30
BASE, ADAPTER = 2 * 6_738_415_616, 2 * 39_976_960
USABLE = 0.94 * 24 * GIB


def numpy_adapters() -> Any:
    import numpy as np

    return np.int64((USABLE - BASE - 4 * GIB) // ADAPTER)


def by_counter(before, after):
    changes = Counter(zip(before, after, strict=True))
    return [changes[False, True], changes[True, False]]


def by_loop(before, after):
    gained = lost = 0
    for i in range(len(before)):
        if before[i] != after[i]:
            gained += after[i]
            lost += before[i]
    return gained, lost


def with_numpy(before, after):
    import numpy as np

    before, after = np.array(before, bool), np.array(after, bool)
    return np.array([(after & ~before).sum(), (before & ~after).sum()])


def totals_compared(before, after):
    difference = sum(after) - sum(before)
    return max(difference, 0), max(-difference, 0)


def by_table(run):
    table = {
        "nothing trains": not run["trainable"],
        "no labels": {label for row in run["labels"] for label in row} <= {-100},
        "rate zero": not any(run["rates"]),
        "no gradient": not any(run["norms"]),
        "not finite": any(loss != loss or abs(loss) == float("inf") for loss in run["losses"]),
        "none": True,
    }
    return next(name for name, holds in table.items() if holds)


def by_early_returns(run):
    def every(values, wanted):
        return all(value == wanted for value in values)

    if run["trainable"] < 1:
        return "nothing trains"
    if every([label for row in run["labels"] for label in row], -100):
        return "no labels"
    if every(run["rates"], 0):
        return "rate zero"
    if every(run["norms"], 0):
        return "no gradient"
    if math.isnan(sum(run["losses"])) or math.isinf(sum(run["losses"])):
        return "not finite"
    return "none"


def fault(labels=None, rate=max, finite=math.isfinite, order=None):
    """Return a first_fault with one of its tests made another way."""

    def every_label(run):
        return all(label == -100 for row in run["labels"] for label in row)

    tests = [
        ("nothing trains", lambda run: run["trainable"] == 0),
        ("no labels", labels or every_label),
        ("rate zero", lambda run: rate(run["rates"]) == 0),
        ("no gradient", lambda run: max(run["norms"]) == 0),
        ("not finite", lambda run: not all(map(finite, run["losses"]))),
    ]

    def first_fault(run):
        for name, holds in order(tests) if order else tests:
            if holds(run):
                return name
        return "none"

    return first_fault


def row_without_labels(run):
    return any(set(row) == {-100} for row in run["labels"])


CASES: list[Case] = [
    (SERVING, 80, "correct", "80 customers"),
    (SERVING, (USABLE - BASE - 4 * GIB) // ADAPTER, "correct", "80 customers"),
    (SERVING, build(numpy_adapters), "correct", "80 customers"),
    (SERVING, 81, "incorrect", "rounded up"),
    (SERVING, (USABLE - BASE - 4 * GIB) / ADAPTER, "incorrect", "round down"),
    (SERVING, (USABLE - BASE) // ADAPTER, "incorrect", "attention cache"),
    (SERVING, (USABLE - 4 * GIB) // ADAPTER, "incorrect", "left out the base"),
    (SERVING, (24 * GIB - BASE - 4 * GIB) // ADAPTER, "incorrect", "94 %"),
    (SERVING, (0.94 * 24e9 - BASE - 4e9) // ADAPTER, "incorrect", "took a GiB"),
    (SERVING, (USABLE - BASE - 4 * GIB) // (2 * ADAPTER), "incorrect", "4 bytes"),
    (SERVING, USABLE // BASE, "incorrect", "copy of the base"),
    (SERVING, 12, "incorrect", "Not the number"),
    (SERVING, float("nan"), "incorrect", "Not the number"),
    (SERVING, "80", "error", "should be a number"),
    (PAIRED, by_counter, "correct", "what the training broke"),
    (PAIRED, by_loop, "correct", "what the training broke"),
    (PAIRED, with_numpy, "correct", "what the training broke"),
    (PAIRED, totals_compared, "incorrect", "go row by row"),
    (PAIRED, lambda b, a: by_loop(a, b), "incorrect", "swapped"),
    (PAIRED, lambda b, a: (sum(b), sum(a)), "incorrect", "Which rows changed"),
    (PAIRED, lambda b, a: (sum(a), len(a) - sum(a)), "incorrect", "is not gained"),
    (PAIRED, lambda b, a: sum(a) - sum(b), "incorrect", "expected"),
    (PAIRED, lambda b, a: by_loop(b, a[1:]), "error", "IndexError"),
    (PAIRED, 3, "error", "should be a function"),
    (FAULT, by_table, "correct", "From cause to symptom"),
    (FAULT, by_early_returns, "correct", "From cause to symptom"),
    (FAULT, fault(), "correct", "From cause to symptom"),
    (FAULT, fault(labels=row_without_labels), "incorrect", "one row has no labels"),
    (FAULT, fault(rate=min), "incorrect", "Warm-up begins at 0"),
    (FAULT, fault(finite=lambda loss: loss != float("nan")), "incorrect", "equals nothing"),
    (FAULT, fault(finite=lambda loss: not math.isnan(loss)), "incorrect", "infinite loss"),
    (FAULT, fault(order=reversed), "incorrect", "symptoms first"),
    (FAULT, lambda run: "none", "incorrect", "expected"),
    (FAULT, lambda run: run["loss"], "error", "KeyError"),
    (FAULT, "nothing trains", "error", "SyntaxError"),
]  # fmt: skip
