"""A plan of two arms, LoRA and QLoRA, read from what a student wrote: for lesson 06's bench."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from labs_lib.assessment.exercises.configuration import plain_setting, setting_text
from labs_lib.assessment.exercises.reading import WrongFormError
from labs_lib.assessment.numbers import plain_number
from labs_lib.errors import kind_of, shorten

_MOST_SEEDS = 1000
FLAWED: dict[str, dict[str, Any]] = {
    "lora": {
        "method": "lora",
        "rank": 16,
        "learning_rate": 1e-3,
        "steps": 24,
        "batch_size": 4,
        "seeds": [0, 1, 2],
        "scored_on": "test",
    },
    "qlora": {
        "method": "qlora",
        "rank": 64,
        "learning_rate": 1e-3,
        "steps": 64,
        "batch_size": 4,
        "seeds": [3],
        "scored_on": "train",
    },
}


def flawed_plan() -> dict[str, dict[str, Any]]:
    """Return the plan that the exercise repairs, a copy for each student."""
    return {name: {**arm, "seeds": list(arm["seeds"])} for name, arm in FLAWED.items()}


def read_plan(value: Any) -> dict[str, dict[str, Any]]:
    """Return the plan's two arms as plain values; a message for what is not a plan."""
    if not isinstance(value, Mapping):
        raise WrongFormError(f"bench should be a dictionary, not {kind_of(value)}")
    if extra := [name for name in value if name not in ("lora", "qlora")]:
        raise WrongFormError(
            f"bench has an arm {shorten(extra[0])}: two are compared, lora and qlora"
        )
    return {name: _arm(name, value.get(name)) for name in ("lora", "qlora")}


def _arm(name: str, arm: Any) -> dict[str, Any]:
    if not isinstance(arm, Mapping):
        raise WrongFormError(f"bench has no arm {name!r}: a dictionary is expected there")
    if missing := [key for key in FLAWED["lora"] if key not in arm]:
        raise WrongFormError(f"the arm {name!r} lacks {missing[0]!r}")
    plain = plain_setting(dict(arm))
    for key in ("rank", "learning_rate", "steps", "batch_size"):
        number = plain[key]
        kinds = (int, float) if key == "learning_rate" else (int,)
        if type(number) is float and number.is_integer() and key != "learning_rate":
            number = plain[key] = int(number)
        if type(number) not in kinds:
            kind = "number" if key == "learning_rate" else "whole number"
            raise WrongFormError(
                f"the arm {name!r}: {key} should be a {kind}, not {setting_text(number)}"
            )
    for key in ("method", "scored_on"):
        if not isinstance(plain[key], str):
            raise WrongFormError(
                f"the arm {name!r}: {key} should be a word, not {setting_text(plain[key])}"
            )
        plain[key] = plain[key].strip().lower()
    plain["scored_on"] = plain["scored_on"].removesuffix("rows").removesuffix("set").strip(" _-")
    seeds = _seeds(arm["seeds"])
    if seeds is None:
        raise WrongFormError(f"the arm {name!r}: seeds should be a list of whole numbers")
    return {**plain, "seeds": seeds}


def _seeds(value: Any) -> list[int] | None:
    """Return the seeds in order, from any collection of whole numbers; None for anything else."""
    one = plain_number(value)
    if one is not None:
        value = [one]
    elif isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return None
    seeds = [plain_number(seed) for seed in itertools.islice(value, _MOST_SEEDS)]
    if any(type(seed) not in (int, float) or seed != seed // 1 or seed < 0 for seed in seeds):  # pyright: ignore[reportOptionalOperand]
        return None
    return sorted(int(seed) for seed in seeds)  # pyright: ignore[reportArgumentType]


def can_be_run(arm: dict[str, Any]) -> bool:
    """Return whether an arm's rank, batch size and steps can be trained on a course's machine."""
    sizes = (arm["rank"], arm["batch_size"])
    return min(sizes) >= 1 and max(sizes) <= 4096 and arm["steps"] <= 100_000


def extra_entries(arms: dict[str, dict[str, Any]]) -> list[str]:
    """Return the entries of the first arm that the exercise's plan does not have."""
    return [name for name in arms["lora"] if name not in FLAWED["lora"]]
