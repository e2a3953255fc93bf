"""Memory and speed compared with full fine-tuning."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import SEED, Exercise, FunctionCheck, Misconception

_PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")
_Run = dict[str, float]


def _peak(run: _Run, parts: tuple[str, ...] = _PARTS) -> float:
    return sum(run[f"{part}_bytes"] for part in parts)


def _pace(run: _Run) -> float:
    return run["steps"] / run["seconds"]


def _saved(full: _Run, other: _Run) -> float:
    return 100 * (1 - _peak(other) / _peak(full))


def _improvement(full: _Run, other: _Run) -> tuple[float, float]:
    return _saved(full, other), _pace(other) / _pace(full)


def _some_pair(generator: random.Random) -> tuple[_Run, _Run]:
    """Return full fine-tuning and another method: between a tenth and nine tenths of its peak.

    The numbers are such that a result rounded to two digits stays within the tolerance.
    """
    full: _Run = {f"{part}_bytes": generator.randint(10**9, 10**10) for part in _PARTS}
    full["adapter_bytes"] = 0
    other: _Run = {name: int(size * generator.uniform(0.1, 0.9)) for name, size in full.items()}
    other["adapter_bytes"] = generator.randint(10**6, 10**8)
    full |= {"steps": generator.randint(10, 90), "seconds": generator.uniform(20, 200)}
    pace = full["steps"] / full["seconds"] * generator.choice((0.55, 0.8, 1.3, 1.9, 3.1))
    steps = generator.randint(10, 90)
    return full, {**other, "steps": steps, "seconds": steps / pace}


def _run_of(parts: tuple[int, ...], steps: int, seconds: float) -> _Run:
    sizes = {f"{part}_bytes": size for part, size in zip(_PARTS, parts, strict=True)}
    return {**sizes, "steps": steps, "seconds": seconds}


def _improvement_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    whole = _run_of((540, 0, 540, 1080, 240), steps=10, seconds=30)
    small = _run_of((540, 20, 20, 40, 230), steps=24, seconds=48)
    cases: list[tuple[Any, ...]] = [(whole, small)]
    cases += [_some_pair(generator) for _ in range(10)]
    return cases


def _first_is(wrong: Callable[[_Run, _Run], float]) -> Callable[[list[Any]], bool]:
    """Recognize what the first of the two numbers is, whatever the second is."""
    return lambda results: _matches(results, 0, wrong)


def _second_is(wrong: Callable[[_Run, _Run], float]) -> Callable[[list[Any]], bool]:
    return lambda results: _matches(results, 1, wrong)


def _matches(results: list[Any], place: int, wrong: Callable[[_Run, _Run], float]) -> bool:
    cases = _improvement_cases(random.Random(SEED))
    return all(
        abs(float(result[place]) - wrong(*case)) <= _ROUNDED * max(1e-9, abs(wrong(*case)))
        for case, result in zip(cases, results, strict=True)
    )


# Two digits behind the point are enough for a percentage and for a ratio.
_ROUNDED = 0.01
_LESS = tuple(part for part in _PARTS if part != "activations")

IMPROVEMENT = Exercise(
    id="06.improvement",
    title="Memory and speed compared with full fine-tuning",
    objective="bench",
    task=(
        "Write `improvement(full, other)`. Each argument is a dictionary with `weights_bytes`, "
        "`adapter_bytes`, `gradients_bytes`, `optimizer_bytes`, `activations_bytes` (they add up "
        "to the peak), `steps` and `seconds` "
        "(of the whole training). Return a pair:\n\n"
        "- by how many **percent of full fine-tuning's peak** the peak of `other` is lower;\n"
        "- how many times as many **steps per second** `other` makes (1.0: as many)."
    ),
    answer="improvement",
    hints=(
        "The peak is the sum of the five parts, for each of the two runs.",
        "Saved, in percent of full: 100 × (full − other) / full.",
        "The runs may have made different numbers of steps: divide each run's steps by its "
        "seconds first.",
    ),
    check=FunctionCheck(
        cases=_improvement_cases,
        reference=_improvement,
        relative_tolerance=_ROUNDED,
        misconceptions=(
            Misconception(
                "weights-only",
                "Your peak is the weights alone. Gradients, states and activations are in memory "
                "beside them; that is where LoRA saves.",
                when=_first_is(lambda f, o: 100 * (1 - o["weights_bytes"] / f["weights_bytes"])),
            ),
            Misconception(
                "activations-left-out",
                "The activations are missing from your peak. They are the part that no method "
                "here makes smaller, so without them the saving looks too large.",
                when=_first_is(lambda f, o: 100 * (1 - _peak(o, _LESS) / _peak(f, _LESS))),
            ),
            Misconception(
                "percent-of-the-smaller",
                "You divided by the other method's peak. The question is for percent of full "
                "fine-tuning's: a saving is a share of what there was before.",
                when=_first_is(lambda f, o: 100 * (_peak(f) - _peak(o)) / _peak(o)),
            ),
            Misconception(
                "remains-for-saved",
                "That is the share that remains. What is saved is the rest of the 100 %.",
                when=_first_is(lambda f, o: 100 * _peak(o) / _peak(f)),
            ),
            Misconception(
                "fraction-for-percent",
                "Your first number is a fraction; in percent it is 100 times as much.",
                when=_first_is(lambda f, o: _saved(f, o) / 100),
            ),
            Misconception(
                "times-for-percent",
                "Your first number says how many times smaller the peak is, not how many percent "
                "are saved.",
                when=_first_is(lambda f, o: _peak(f) / _peak(o)),
            ),
            Misconception(
                "different-step-counts",
                "You compared the whole training times, but the runs made different numbers of "
                "steps. Divide by the steps before you compare.",
                when=_second_is(lambda f, o: f["seconds"] / o["seconds"]),
            ),
            Misconception(
                "upside-down",
                "Your second number is upside down: above 1 it should mean that the other method "
                "makes more steps in a second.",
                when=_second_is(lambda f, o: _pace(f) / _pace(o)),
            ),
            Misconception(
                "time-saved-for-speed",
                "Your second number is the share of time that is saved. Half the time is twice "
                "the speed, 2.0, not 0.5 or 50.",
                when=lambda results: any(
                    _second_is(lambda f, o, s=scale: s * (1 - _pace(f) / _pace(o)))(results)
                    for scale in (1, 100)
                ),
            ),
        ),
    ),
    praise="A saving is a share of what there was; a speed is steps over seconds.",
)
