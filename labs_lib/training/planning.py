"""What a run will take, said before it starts: time, memory, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labs_lib.tables import Table
from labs_lib.training.recipe import Recipe


@dataclass(frozen=True)
class PlanChange:
    """One change of the recipe and what the run would then take; `costs` says what is lost."""

    fields: dict[str, Any]
    seconds: float
    peak_bytes: int | None
    costs: str


@dataclass(frozen=True)
class Plan:
    """What a run will take on this machine, all of it "about".

    `tokens` are those of all steps together; `seconds_per_step` is that of a step of mean length,
    from `measured_tokens` tokens that were trained on; `train_seconds`, `evaluation_seconds` and
    `load_seconds` add up to `seconds`. `peak_bytes` is the forecast of the longest step, None where
    no formula knows the model (`why_no_forecast`).
    """

    recipe: Recipe
    rows: int
    steps: int
    tokens: int
    longest_row: int
    cut_rows: int
    seconds_per_step: float
    measured_tokens: int
    train_seconds: float
    evaluation_seconds: float
    load_seconds: float
    peak_bytes: int | None
    memory_bytes: int
    machine: str
    why_no_forecast: str
    changes: tuple[PlanChange, ...]

    @property
    def seconds(self) -> float:
        """Return the seconds from `train(recipe)` to its end."""
        return self.load_seconds + self.train_seconds + self.evaluation_seconds

    @property
    def fits(self) -> bool | None:
        """Return whether the forecast fits this machine's memory; None without a forecast."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return the plan as (what, about how much)."""
        raise NotImplementedError

    def changes_table(self) -> Table:
        """Return what to change if it is too long or too large, with what each change wins."""
        raise NotImplementedError


def plan(recipe: Recipe) -> Plan:
    """Say what `train(recipe)` will take, by two real steps on this machine and the forecast.

    Nothing is written, and the model is loaded and dropped. Takes the time of loading the model
    and of about three steps; batches of many tokens are measured on fewer rows. Raises `LabError`
    as `train` does.
    """
    raise NotImplementedError
