"""The first fault in a run that does not learn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception

Test = tuple[str, Callable[[dict[str, Any]], bool]]


def _every_label(run: dict[str, Any]) -> bool:
    return all(label == -100 for row in run["labels"] for label in row)


def _a_row_without_labels(run: dict[str, Any]) -> bool:
    return any(all(label == -100 for label in row) for row in run["labels"])


TRAINS: Test = ("nothing trains", lambda run: run["trainable"] == 0)
LABELS: Test = ("no labels", _every_label)
RATE: Test = ("rate zero", lambda run: max(run["rates"]) == 0)
NORM: Test = ("no gradient", lambda run: max(run["norms"]) == 0)
FINITE: Test = ("not finite", lambda run: not all(map(math.isfinite, run["losses"])))
TESTS = (TRAINS, LABELS, RATE, NORM, FINITE)


def _first(*tests: Test) -> Callable[[dict[str, Any]], str]:
    return lambda run: next((name for name, holds in tests if holds(run)), "none")


def _healthy(generator: random.Random) -> dict[str, Any]:
    steps = generator.randint(3, 6)
    return {
        "trainable": generator.choice([460_800, 4_194_304]),
        "labels": [[-100, -100, generator.randint(1, 900), 2] for _ in range(2)] + [[-100] * 4],
        "rates": [0.0, *(generator.choice([1e-4, 2e-4]) for _ in range(steps - 1))],
        "norms": [round(generator.uniform(0.1, 2), 3) for _ in range(steps)],
        "losses": [round(3 - 0.2 * step, 3) for step in range(steps)],
    }


def _with(run: dict[str, Any], *faults: str) -> dict[str, Any]:
    steps = len(run["losses"])
    changed = {
        "nothing trains": {"trainable": 0},
        "no labels": {"labels": [[-100] * 4, [-100] * 3]},
        "rate zero": {"rates": [0.0] * steps},
        "no gradient": {"norms": [0.0] * steps},
        "not finite": {"losses": [*run["losses"][:-1], float("nan")]},
        "infinite": {"losses": [*run["losses"][:-1], float("inf")]},
    }
    for fault in faults:
        run = {**run, **changed[fault]}
    return run


def _cases(generator: random.Random) -> list[tuple[Any, ...]]:
    names = [name for name, _ in TESTS]
    together = [
        ("nothing trains", "no gradient"), ("no labels", "not finite"),
        ("rate zero", "not finite"), ("no gradient", "not finite"), tuple(names),
        ("no labels", "no gradient"), ("rate zero", "no gradient"), ("nothing trains", "no labels"),
    ]  # fmt: skip
    faults = [(), (), ("infinite",), *((name,) for name in names), *together]
    return [(_with(_healthy(generator), *each),) for each in faults]


def _any_rate(run: dict[str, Any]) -> bool:
    return min(run["rates"]) == 0


def _equals_nan(run: dict[str, Any]) -> bool:
    return any(loss == float("nan") for loss in run["losses"])


def _only_nan(run: dict[str, Any]) -> bool:
    return any(map(math.isnan, run["losses"]))


FAULT = Exercise(
    id="08.first-fault",
    title="Why does the loss not move?",
    objective="debug",
    task=(
        "Write `first_fault(run)`. A run is a dictionary of what its first steps have written "
        "down: `trainable` (a count), `labels` (a list of labels for each row), `rates`, `norms` "
        "(of the gradient) and `losses`, a number a step. Return the **first** of these that "
        "holds:\n\n"
        '- `"nothing trains"`: no parameter is trainable,\n'
        '- `"no labels"`: every label of every row is -100,\n'
        '- `"rate zero"`: the learning rate is 0 in every step,\n'
        '- `"no gradient"`: the norm is 0 in every step,\n'
        '- `"not finite"`: some loss is not a finite number,\n'
        '- `"none"`: none of these.'
    ),
    answer="first_fault",
    hints=(
        "Return as soon as one holds; the order goes from cause to symptom.",
        "A single row without labels, or a first step with rate 0 (warm-up), is no fault.",
        "NaN equals nothing, not even itself: `math.isfinite` tells.",
    ),
    check=FunctionCheck(
        cases=_cases,
        reference=_first(*TESTS),
        misconceptions=(
            Misconception(
                "one-row-is-enough",
                "You call it a fault if one row has no labels. A row that was cut may have none; "
                "the run learns from the others.",
                wrong=_first(TRAINS, ("no labels", _a_row_without_labels), RATE, NORM, FINITE),
            ),
            Misconception(
                "warm-up-is-a-fault",
                "You call it a fault if the rate is 0 in one step. Warm-up begins at 0.",
                wrong=_first(TRAINS, LABELS, ("rate zero", _any_rate), NORM, FINITE),
            ),
            Misconception(
                "equals-nan",
                "NaN equals nothing, not even itself, so a comparison with it never holds. Use "
                "math.isfinite.",
                wrong=_first(TRAINS, LABELS, RATE, NORM, ("not finite", _equals_nan)),
            ),
            Misconception(
                "only-nan",
                "An infinite loss is no finite number either.",
                wrong=_first(TRAINS, LABELS, RATE, NORM, ("not finite", _only_nan)),
            ),
            Misconception(
                "symptom-first",
                "You look at the symptoms first. A loss that is not finite, or a gradient of 0, "
                "may only follow from what comes before it in the list.",
                wrong=_first(*reversed(TESTS)),
            ),
        ),
    ),
    praise="From cause to symptom: whatever you mend first must not hide what is behind it.",
)
