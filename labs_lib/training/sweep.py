"""Sweeps: one recipe trained at many points and seeds, recorded with where it came from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from labs_lib.errors import LabError, choice_error
from labs_lib.paths import sweep_file
from labs_lib.tables import Table
from labs_lib.training.field_files import built, read_fields
from labs_lib.training.recipe import Recipe
from labs_lib.training.records import Record, damaged, made_by, read_values
from labs_lib.training.sweep_points import Point, Spread

RECORDED = "recorded"
"""The folder of this package that holds the sweeps that ship with the course."""

MOST_POINTS = 10_000

# Points that answered other rows could not be compared, and each seed is trained anyway.
_NEVER_VARIES = ("name", "seed", "model", "dataset", "eval_rows", "eval_tokens", "max_length")


class Sweep(BaseModel):
    """What to train: a recipe, the fields that vary, and the seeds of each point.

    `recipe` holds a recipe's fields. `grid` maps fields to values, all of whose combinations are
    trained; `points` lists further combinations. Raises `LabError` through `Sweep.from_yaml`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    recipe: dict[str, Any]
    grid: dict[str, list[Any]] = {}
    points: list[dict[str, Any]] = []
    seeds: list[int] = Field([0, 1, 2], min_length=1)

    @model_validator(mode="after")
    def _every_point_is_a_recipe(self) -> Sweep:
        if math.prod(len(values) for values in self.grid.values()) > MOST_POINTS:
            raise ValueError(f"the grid has more than {MOST_POINTS:,} points")
        if not self.combinations():
            raise ValueError("give grid or points")
        for field in self.varied():
            if field in _NEVER_VARIES:
                raise ValueError(f"{field} cannot vary within a sweep")
        for seed in self.seeds:
            self.recipe_at({}, seed)
            if len(set(self.seeds)) < len(self.seeds) and self.seeds.count(seed) > 1:
                raise ValueError(f"seeds: {seed} is given twice; give each seed once")
        runs: set[str] = set()
        for changes in self.combinations():
            run = self.recipe_at(changes, self.seeds[0]).model_dump_json()
            if run in runs:
                point = describe(changes) or "the recipe itself"
                raise ValueError(f"{point} is given twice; give each point once")
            runs.add(run)
        return self

    def varied(self) -> list[str]:
        """Return the recipe's fields that differ between points, in the sweep's order."""
        return list(dict.fromkeys(field for changes in self.combinations() for field in changes))

    def combinations(self) -> list[dict[str, Any]]:
        """Return what is changed in the recipe at each point."""
        combined = [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]
        return (combined if self.grid else []) + self.points

    def matching(self, **values: Any) -> list[dict[str, Any]]:
        """Return the points whose changes include `values`; `LabError` if there is none."""
        for field, value in values.items():
            if field not in self.varied():
                raise choice_error(f"sweep {self.name}", field, self.varied())
            legal = [changes[field] for changes in self.combinations() if field in changes]
            if not any(_same(value, other) for other in legal):
                raise choice_error(field, _words(value), dict.fromkeys(map(_words, legal)))
        points = [
            changes
            for changes in self.combinations()
            if all(_same(value, changes.get(field)) for field, value in values.items())
        ]
        if not points:
            raise LabError(f"sweep {self.name}: no point has {describe(values)} together")
        return points

    def recipe_at(self, changes: dict[str, Any], seed: int) -> Recipe:
        """Return the recipe of one point and seed."""
        fields = {**self.recipe, "checkpoint_every": 0, **changes, "seed": seed, "name": self.name}
        return Recipe.of(f"sweep {self.name}", **fields)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Sweep:
        """Read a sweep, one of the course's from any folder.

        Raises `LabError` for a missing file, broken YAML or an illegal field.
        """
        path = sweep_file(path)
        return built(cls, path.name, read_fields("sweep", path, "grid: …"))


@dataclass(frozen=True)
class SweepResult(Record):
    """The finished points of a sweep, with the sweep itself and where and when it was run."""

    sweep: Sweep
    prompts: tuple[str, ...]
    loss_before: float | None
    rates_before: dict[str, float]
    points: tuple[Point, ...]
    hardware: dict[str, Any]
    versions: dict[str, str]
    data_fingerprint: str
    finished_utc: str

    def at(self, **changes: Any) -> list[Point]:
        """Return the points (one a seed) whose changes include these; `seed` picks one of them."""
        return [
            point
            for point in self.points
            if all(
                _same(value, point.seed if key == "seed" else self._value(point, key))
                for key, value in changes.items()
            )
        ]

    def spread(self, metric: str) -> list[Spread]:
        """Return the metric's mean, lowest and highest value over the seeds of each point."""
        spreads = []
        for changes in self.sweep.combinations():
            points = [point for point in self.points if point.changes == changes]
            values = [p.value(metric) for p in points if p.diverged_at_step is None]
            if points:
                spreads.append(Spread.over(changes, values, len(points) - len(values)))
        return spreads

    def spread_at(self, metric: str = "loss", **changes: Any) -> Spread:
        """Return the metric's spread at the one point with these changes; else `LabError`."""
        wanted = self.sweep.matching(**changes)
        if len(wanted) > 1:
            points = "; ".join(map(describe, wanted))
            raise LabError(f"sweep {self.sweep.name}: several points match: {points}")
        return next(each for each in self.spread(metric) if each.changes == wanted[0])

    def lines(self, group: str, along: str, metric: str = "loss") -> dict[Any, dict[Any, Spread]]:
        """Return group's value → along's value → the metric's spread, for a grid of two fields.

        Raises `LabError` for a field that the sweep does not vary.
        """
        for field in (group, along):
            if field not in self.sweep.varied():
                raise choice_error(f"sweep {self.sweep.name}", field, self.sweep.varied())
        lines: dict[Any, dict[Any, Spread]] = {}
        for each in self.spread(metric):
            lines.setdefault(each.changes[group], {})[each.changes[along]] = each
        return lines

    def only(self, combinations: Sequence[dict[str, Any]], seeds: Sequence[int]) -> SweepResult:
        """Return the results of these points and seeds alone."""
        points = (p for p in self.points if p.changes in combinations and p.seed in seeds)
        return replace(self, points=tuple(points))

    def table(self) -> Table:
        """Return a table: what was changed, then each metric's mean and lowest to highest."""
        varied = self.sweep.varied()
        metrics = ["loss", *self.rates_before]
        columns = [self.spread(metric) for metric in metrics]
        rows = []
        for same_point in zip(*columns, strict=True):
            first = same_point[0]
            changed = [_words(first.changes.get(field, self._base(field))) for field in varied]
            cells = [
                spread.text("{:.3f}" if metric == "loss" else "{:.0%}")
                for metric, spread in zip(metrics, same_point, strict=True)
            ]
            rows.append((*changed, first.count, *cells))
        return Table.of((*varied, "seeds", *map(_heading, metrics)), rows)

    def provenance(self) -> str:
        """Return where and when the results were made, in one line."""
        what = f"sweep {self.sweep.name}"
        return made_by(what, len(self.points), self.hardware, self.versions, self.finished_utc)

    @classmethod
    def load(cls, path: Any) -> SweepResult:
        """Read a result file; `LabError` where it is damaged."""
        try:
            return cls.from_dict(read_values(path))
        except FileNotFoundError:
            raise LabError(f"sweep: no results in {path.name}") from None
        except (OSError, ValueError) as error:
            raise damaged(f"sweep: {path.name}", error) from None

    def _value(self, point: Point, key: str) -> Any:
        return point.changes.get(key, self._base(key))

    def _base(self, key: str) -> Any:
        return self.sweep.recipe_at({}, 0).model_dump().get(key)


def sweeps(folder: Path) -> list[str]:
    """Return the names of the sweep files in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def recorded(name: str) -> SweepResult:
    """Return a sweep that ships with the course, with its versions, machine and date."""
    folder = resources.files("labs_lib.training") / RECORDED
    names = sorted(file.name[: -len(".json")] for file in folder.iterdir() if _is_sweep(file.name))
    if name not in names:
        raise choice_error("recorded sweep", name, names)
    return SweepResult.load(folder / f"{name}.json")


def describe(changes: dict[str, Any]) -> str:
    """Return a point's changes in words: "rank 8, alpha 16"."""
    return ", ".join(f"{field} {_words(value)}" for field, value in changes.items())


def _words(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _same(given: Any, value: Any) -> bool:
    """Return whether what a person gave means this value: 1e-4 the number, q_proj+v_proj a list."""
    if given == value or _words(given) == _words(value):
        return True
    try:
        return float(given) == float(value)
    except (TypeError, ValueError):
        return False


def _heading(metric: str) -> str:
    return "held-out loss" if metric == "loss" else metric.replace("_", " ")


def _is_sweep(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(("compare-", "bench-"))
