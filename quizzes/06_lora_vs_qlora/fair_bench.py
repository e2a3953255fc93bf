"""A comparison of LoRA and QLoRA that can answer its question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.errors import shorten

from .bench_plan import can_be_run, extra_entries, flawed_plan, read_plan

_LEAST_STEPS = 10
# Beyond these LoRA learns nothing, or does not settle.
_RATES = (1e-5, 1e-2)


def _both(key: str) -> Callable[[Any], bool]:
    return lambda arms: arms["lora"][key] == arms["qlora"][key]


def _differ(key: str) -> Callable[[Any], bool]:
    return lambda arms: arms["lora"][key] != arms["qlora"][key]


BENCH = Exercise(
    id="06.fair-bench",
    title="Repair a comparison",
    objective="bench",
    task=(
        "Someone wants to know: *does a 4-bit base cost quality?* Their plan is "
        "`material('06.fair-bench')`, printed below. Set `bench` to a plan of the same form whose "
        "result could answer the question: **one** thing differs between the arms, and the "
        "spread can be seen. (A full plan has at least three seeds an arm.)"
    ),
    answer="bench",
    hints=(
        "Go through the keys of the two arms one by one: which differ?",
        "Copy one arm, and change in the copy only what the question asks about.",
        "Rows that a model was trained on say nothing about new ones.",
    ),
    check=ValueCheck(
        observe=read_plan,
        properties=(
            Property(
                lambda arms: (arms["lora"]["method"], arms["qlora"]["method"]) == ("lora", "qlora"),
                'The arms\' methods should be "lora" and "qlora": that is what is compared.',
            ),
            Property(
                lambda arms: {**arms["lora"], "method": "qlora"} == arms["qlora"],
                "The arms differ in more than their method; then a difference in the result has "
                "two possible causes.",
            ),
            Property(
                lambda arms: all(map(can_be_run, arms.values())),
                "Such a plan cannot be run here: rank and batch_size are whole numbers from 1 to "
                "4,096, and more than 100,000 steps take weeks.",
            ),
            Property(
                lambda arms: not extra_entries(arms),
                lambda arms: (
                    f"The plan has an entry {shorten(extra_entries(arms)[0])} which its form does "
                    "not: leave it out."
                ),
            ),
            Property(
                lambda arms: all(arm["steps"] >= _LEAST_STEPS for arm in arms.values()),
                f"With fewer than {_LEAST_STEPS} steps neither arm has learned anything that "
                "could be compared.",
            ),
            Property(
                lambda arms: all(
                    _RATES[0] <= arm["learning_rate"] <= _RATES[1] for arm in arms.values()
                ),
                f"With that learning rate neither arm learns: stay between {_RATES[0]:g} and "
                f"{_RATES[1]:g}.",
            ),
            Property(
                lambda arms: all(len(set(arm["seeds"])) >= 3 for arm in arms.values()),
                "With fewer than three seeds you cannot tell a difference from luck.",
            ),
            Property(
                lambda arms: arms["lora"]["scored_on"] == "test",
                "Score on rows that neither arm was trained on or tuned by: the test rows.",
            ),
        ),
        misconceptions=(
            Misconception(
                "different-step-counts",
                "The arms train for different numbers of steps (or batch sizes). Whichever sees "
                "more rows has the advantage, whatever its base.",
                when=lambda arms: _differ("steps")(arms) or _differ("batch_size")(arms),
            ),
            Misconception(
                "different-capacity",
                "The arms have different ranks: then you compare adapters as much as bases.",
                when=_differ("rank"),
            ),
            Misconception(
                "different-learning-rate",
                "The learning rates differ. (One may tune each arm's, but on validation rows and "
                "with the same effort; this plan has no such search.)",
                when=_differ("learning_rate"),
            ),
            Misconception(
                "scored-on-training-rows",
                "An arm is scored on rows that it was trained on: that measures memory, not what "
                "it learned.",
                when=lambda arms: any(arm["scored_on"] == "train" for arm in arms.values()),
            ),
            Misconception(
                "one-seed",
                "One or two seeds: another draw of A and of the row order could reverse the "
                "result. Use three at least, so that the spread can be seen.",
                when=lambda arms: any(len(set(arm["seeds"])) < 3 for arm in arms.values()),
            ),
            Misconception(
                "different-seeds",
                "Each arm has its own seeds. With the same seeds both see the same rows in the "
                "same order and start from the same A, so that less is left to chance.",
                when=_differ("seeds"),
            ),
            Misconception(
                "same-method",
                "Both arms have the same method: now nothing is compared.",
                when=_both("method"),
            ),
        ),
    ),
    praise="One difference, everything else equal, and a spread to compare it with.",
    material=flawed_plan,
)
