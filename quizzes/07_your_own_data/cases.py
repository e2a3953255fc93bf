"""Cases of lesson 07's exercises."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

ROWS, LEAKS, PAIRED = "07.rows-needed", "07.leaks", "07.paired"


def numpy_rows() -> Any:
    import numpy as np

    return np.float64(1.96**2 * 0.16 / 0.0025)


# ---- leaks --------------------------------------------------------------------------------------


def plain(text):
    return " ".join(text.lower().split())


def by_loops(train, test):
    found = []
    for place, row in enumerate(test):
        for other in train:
            if plain(row["prompt"]) == plain(other["prompt"]) or row["entity"] == other["entity"]:
                found.append(place)
                break
    return found


def as_a_set(train, test):
    return set(by_loops(train, test))


def finder(prompt: Any = plain, prompts: bool = True, entities: bool = True, join: Any = any):
    """Return a `leaks` that looks at some of what there is."""

    def leaks(train, test):
        known = {prompt(row["prompt"]) for row in train}, {row["entity"] for row in train}
        found = []
        for place, row in enumerate(test):
            seen = [prompt(row["prompt"]) in known[0]] if prompts else []
            seen += [row["entity"] in known[1]] if entities else []
            if join(seen):
                found.append(place)
        return found

    return leaks


def clean(train, test):
    return [place for place in range(len(test)) if place not in by_loops(train, test)]


# ---- paired -------------------------------------------------------------------------------------


def tail(few, of):
    return sum(math.comb(of, i) for i in range(few + 1)) / 2**of


def by_counter(first, second):
    split = Counter(zip(first, second, strict=True))
    one, other = split[True, False], split[False, True]
    return [one, other, min(1, 2 * tail(min(one, other), one + other))]


def with_numpy(first, second):
    import numpy as np

    one = int(np.sum(np.array(first) & ~np.array(second)))
    other = int(np.sum(np.array(second) & ~np.array(first)))
    return np.array([one, other, min(1.0, 2 * tail(min(one, other), one + other))])


def differing(p: Any):
    """Return a `paired` with the right counts and another p."""

    def paired(first, second):
        one, other, _ = by_counter(first, second)
        return one, other, p(one, other, len(first))

    return paired


def totals(first, second):
    one, other = sum(first), sum(second)
    return one, other, min(1.0, 2 * tail(min(one, other), one + other))


def swapped(first, second):
    one, other, p = by_counter(first, second)
    return other, one, p


CASES: list[Case] = [
    (ROWS, 246, "correct", "246 rows"),
    (ROWS, math.ceil(1.96**2 * 0.16 / 0.0025), "correct", "246 rows"),
    (ROWS, 245.86, "correct", "246 rows"),
    (ROWS, 2**2 * 0.16 / 0.0025, "correct", "246 rows"),
    (ROWS, build(numpy_rows), "correct", "246 rows"),
    (ROWS, 984, "incorrect", "ten wide"),
    (ROWS, 64, "incorrect", "one standard error"),
    (ROWS, 1.96 * 0.4 / 0.05, "incorrect", "forgot to square"),
    (ROWS, 1.96 * 0.16 / 0.05, "incorrect", "forgot to square"),
    (ROWS, 385, "incorrect", "p = 0.5"),
    (ROWS, 1.96**2 * 0.16 / 25, "incorrect", "points with shares"),
    (ROWS, 100, "incorrect", "Not the number"),
    (ROWS, float("nan"), "incorrect", "Not the number"),
    (ROWS, "246", "error", "should be a number"),
    (LEAKS, by_loops, "correct", "as if they were new"),
    (LEAKS, finder(), "correct", "as if they were new"),
    (LEAKS, finder(lambda text: text.casefold().split().__str__()), "correct", "as if they"),
    (LEAKS, finder(entities=False), "incorrect", "leaks too"),
    (LEAKS, finder(prompts=False), "incorrect", "whoever asks it"),
    (LEAKS, finder(str), "incorrect", "letter for letter"),
    (LEAKS, finder(join=all), "incorrect", "One of them is enough"),
    (LEAKS, clean, "incorrect", "do not leak"),
    (LEAKS, lambda train, test: [], "incorrect", "expected"),
    (LEAKS, lambda train, test: len(by_loops(train, test)), "incorrect", "expected"),
    (LEAKS, lambda train, test: train["prompt"], "error", "TypeError"),
    (LEAKS, [1, 2, 3], "error", "should be a function"),
    (PAIRED, by_counter, "correct", "on which two models differ"),
    (PAIRED, with_numpy, "correct", "on which two models differ"),
    (PAIRED, totals, "incorrect", "all rows that each has right"),
    (PAIRED, swapped, "incorrect", "changed places"),
    (PAIRED, differing(lambda a, b, n: tail(min(a, b), a + b)), "incorrect", "one-sided"),
    (PAIRED, differing(lambda a, b, n: 2 * tail(min(a, b), a + b)), "incorrect", "off at 1"),
    (PAIRED, differing(lambda a, b, n: min(1, 2 * tail(min(a, b), n))), "incorrect", "no toss"),
    (PAIRED, differing(lambda a, b, n: 0.05), "incorrect", "expected"),
    (PAIRED, lambda first, second: sum(first) - sum(second), "incorrect", "expected"),
    (PAIRED, lambda first, second: first.wins, "error", "AttributeError"),
    (PAIRED, 0.03, "error", "should be a function"),
]  # fmt: skip
