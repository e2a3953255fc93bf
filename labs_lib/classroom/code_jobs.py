"""Students' code judged side by side, each piece once, behind walls or, when told so, without."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.answers import libraries_of
from labs_lib.assessment.exercises.base import Exercise, ValueCheck, judge
from labs_lib.assessment.exercises.from_source import judge_source
from labs_lib.assessment.exercises.work import CheckerError
from labs_lib.assessment.notebook import exercise_hash
from labs_lib.assessment.outcomes import ERROR, Outcome
from labs_lib.assessment.sandbox import run_apart, running_by
from labs_lib.classroom.cell_needs import CellNeeds, needs_of
from labs_lib.classroom.judged import JudgedFile
from labs_lib.classroom.walls.benches import Bench
from labs_lib.classroom.walls.ways import UNSAFE, Way

# The parts of a check that may name a library.
_LOOKS = ("cases", "reference", "probe", "observe")


@dataclass(frozen=True)
class CodeJob:
    """A piece of code to judge: an exercise's cell, the cells before it, and a recorded value.

    `value` is the value that the student's file has, as JSON, if it has one whole: it is judged
    where the cell needs what the lesson computed, which grading does not compute again.
    """

    exercise: str
    source: str
    earlier: tuple[str, ...] = field(default=(), repr=False)
    value: str = ""

    def key(self, walls: str) -> str:
        """Return what tells this job from all others, the exercise's text included."""
        parts = [exercise_hash(find_exercise(self.exercise)), self.source, list(self.earlier),
                 self.value, walls]  # fmt: skip
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
        return f"{self.exercise}:{hashlib.sha256(text.encode()).hexdigest()}"


def judge_all(
    jobs: Iterable[CodeJob],
    way: Way | None,
    kept: JudgedFile,
    side_by_side: int | None = None,
    done: Callable[[int], Any] = lambda _: None,
) -> dict[CodeJob, Outcome]:
    """Return job → outcome; what `kept` knows is not judged again, and what is found is kept.

    `way` is the wall, None for none. `done(count)` is told of progress.
    """
    walls = UNSAFE if way is None else way.name
    outcomes: dict[CodeJob, Outcome] = {}
    ahead: dict[str, list[CodeJob]] = {}
    for job in jobs:
        key = job.key(walls)
        known = kept.get(key)
        if known is not None:
            outcomes[job] = known
            done(1)
        else:
            ahead.setdefault(key, []).append(job)

    def found(key: str, outcome: Outcome) -> None:
        kept.add(key, outcome)
        outcomes.update(dict.fromkeys(ahead[key], outcome))
        done(len(ahead[key]))

    firsts = {key: alike[0] for key, alike in ahead.items()}
    _SideBySide(firsts, way, found).run(min(len(firsts), side_by_side or processors()))
    return outcomes


class _SideBySide:
    """Threads with a bench each, that take jobs until none waits or one of them has failed."""

    def __init__(
        self, jobs: Mapping[str, CodeJob], way: Way | None, found: Callable[[str, Outcome], None]
    ):
        self._waiting: queue.SimpleQueue[tuple[str, CodeJob]] = queue.SimpleQueue()
        for pair in jobs.items():
            self._waiting.put(pair)
        self._way, self._found = way, found
        self._libraries = _libraries({job.exercise for job in jobs.values()}) if way else ()
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []

    def run(self, count: int) -> None:
        """Judge all jobs in `count` threads; an interrupt ends them after what they are at."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        except BaseException as error:
            self._failed.append(error)
            raise
        if self._failed:
            raise self._failed[0]

    def _work(self) -> None:
        try:
            with ExitStack() as held:
                if self._way is not None:
                    bench = held.enter_context(Bench(self._way, self._libraries))
                    bench.start()
                    held.enter_context(running_by(bench.run))
                while not self._failed:
                    key, job = self._waiting.get_nowait()
                    outcome = _outcome(job)
                    with self._lock:
                        self._found(key, outcome)
        except queue.Empty:
            return
        except BaseException as error:  # told by the thread that waits for this one
            self._failed.append(error)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _libraries(exercises: Iterable[str]) -> tuple[str, ...]:
    """Return what a bench loads once, before any student's code: what exercises and probes name."""
    named = {"cloudpickle.cloudpickle"}
    for each in exercises:
        exercise = find_exercise(each)
        looks = [getattr(exercise.check, name, None) for name in _LOOKS]
        named |= set(libraries_of(exercise.solution, *looks))
        named |= {name for look in looks for name in _probes_libraries(look)}
    return tuple(sorted(named))


def _probes_libraries(look: Any) -> list[str]:
    """Return what an object that is called as a probe imports in its methods."""
    methods = (getattr(type(look), name, None) for name in ("__call__", "prepare"))
    return libraries_of(*(each for each in methods if hasattr(each, "__code__")))


def _outcome(job: CodeJob) -> Outcome:
    exercise = find_exercise(job.exercise)
    try:
        needs = _needs(job)
        if needs.computed and job.value and isinstance(exercise.check, ValueCheck):
            return _by_value(exercise, json.loads(job.value))
        return judge_source(exercise, job.source, needs.before)
    except CheckerError as slip:
        return Outcome(ERROR, f"The exercise is at fault, not the answer: {slip}", "checker")


def _needs(job: CodeJob) -> CellNeeds:
    """Return what a cell needs; apart, since a text may crash the compiler that reads it."""
    if not job.earlier:
        return CellNeeds()
    apart = run_apart(_Needs(job.source, job.earlier))
    match apart.value:
        case [str() as before, list() as computed] if apart.ending == "returned":
            return CellNeeds(before, tuple(map(str, computed)))
        case _:
            return CellNeeds()


def _by_value(exercise: Exercise, value: Any) -> Outcome:
    outcome = judge(exercise, value)
    note = "The cell needs what the lesson computes, so the recorded value was judged."
    return Outcome(outcome.status, f"{outcome.message} {note}", outcome.misconception)


@dataclass(frozen=True)
class _Needs:
    """Finds what a cell needs of those before it."""

    source: str
    earlier: tuple[str, ...]

    def __call__(self) -> list[Any]:
        needs = needs_of(self.source, self.earlier)
        return [needs.before, list(needs.computed)]
