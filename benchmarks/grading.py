"""What we claim about grading: at least 50,000 responses a second a core.

    python benchmarks/grading.py [--json results.json] [--seconds S]

For each kind of question, responses as they come in (right and wrong answers in turn, each a new
`Response`), graded by `grade` on one core; how long a progress file of 10,000 lines takes to open
and add up; and how long the check of each exercise takes on its solution, at the second time.

Takes about a minute.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.exercises.base import judge
from labs_lib.assessment.grading import grade, right_answer
from labs_lib.assessment.outcomes import Response
from labs_lib.assessment.progress import progress_file, record, standing
from labs_lib.files import write_json

CLAIM_RESPONSES_PER_SECOND = 50_000
CLAIM_OPEN_SECONDS = 0.3
CLAIM_CHECK_SECONDS = 3.0
LINES = 10_000
WRONG = {
    "single": "a", "multiple": "a", "numeric": "123", "parameterised": "123",
    "ordering": "a,b,c", "text": "something",
}  # fmt: skip


def responses_per_second(kind: str, seconds: float) -> float:
    """Return how many responses to this kind of question one core grades in a second."""
    questions = [q for bank in load_banks().values() for q in bank.questions if q.kind == kind]
    pairs = [
        (question, value)
        for question in questions
        for value in (str(right_answer(question)), WRONG[kind])
    ]
    for question, value in pairs:  # the first response to a question lays out its answers
        grade(question, Response(question.id, value))
    count = 0
    batch = list(itertools.islice(itertools.cycle(pairs), 1000))
    start = time.process_time()
    while (spent := time.process_time() - start) < seconds:
        for question, value in batch:
            grade(question, Response(question.id, value))
        count += len(batch)
    return count / spent


def seconds_to_open() -> float:
    """Return the seconds to read and add up a progress file of 10,000 lines."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LABS_HOME"] = home
        record("answer", "04.train.counted", bank="0" * 16, response="123", outcome="incorrect")
        path = progress_file()
        path.write_bytes(path.read_bytes() * LINES)
        standing()  # banks and exercises are read once a session
        seconds = []
        for _ in range(5):  # the best: other programs may be running
            start = time.perf_counter()
            standing()
            seconds.append(time.perf_counter() - start)
        return min(seconds)


def seconds_to_check() -> dict[str, float]:
    """Return exercise → seconds of the check of its solution; the first check imports."""
    import math

    import peft
    import torch

    names = {
        "math": math, "torch": torch, "LoraConfig": peft.LoraConfig,
        "get_peft_model": peft.get_peft_model,
    }  # fmt: skip
    seconds = {}
    for exercise in all_exercises():
        cell = dict(names)
        exec(compile(exercise.solution, "<cell>", "exec"), cell)
        judge(exercise, cell[exercise.answer])
        start = time.perf_counter()
        judge(exercise, cell[exercise.answer])
        seconds[exercise.id] = time.perf_counter() - start
    return seconds


def main() -> None:
    """Measure, print a table, and write the figures if pairs to."""
    parser = argparse.ArgumentParser(description="Measure what is claimed about grading.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=1.0, help="per kind of question")
    arguments = parser.parse_args()
    rates = {kind: responses_per_second(kind, arguments.seconds) for kind in WRONG}
    for kind, rate in rates.items():
        print(f"{kind:<14} {rate:>10,.0f} responses a second")
    opened = seconds_to_open()
    print(f"{LINES:,} lines of progress open in {opened:.3f} s")
    checks = seconds_to_check()
    slowest = max(checks, key=lambda name: checks[name])
    print(f"{len(checks)} exercises checked; the slowest, {slowest}, in {checks[slowest]:.2f} s")
    figures: dict[str, Any] = {
        "responses_per_second": rates,
        "open_seconds": opened,
        "check_seconds": checks,
    }
    if arguments.json:
        write_json(arguments.json, figures)
    slow = [kind for kind in ("single", "numeric") if rates[kind] < CLAIM_RESPONSES_PER_SECOND]
    if slow or opened > CLAIM_OPEN_SECONDS or checks[slowest] > CLAIM_CHECK_SECONDS:
        raise SystemExit(f"below the claim: {json.dumps(figures)}")


if __name__ == "__main__":
    main()
