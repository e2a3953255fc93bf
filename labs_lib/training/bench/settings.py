"""What a bench trains: its tasks, its methods with their sizes, a ladder of rates, the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from labs_lib.errors import choice_error
from labs_lib.paths import bench_file
from labs_lib.step.methods import METHODS
from labs_lib.training.field_files import built, read_fields
from labs_lib.training.recipe import Recipe

Rate = Annotated[float, Field(gt=0, le=1)]


class BenchMethod(BaseModel):
    """How one method takes part: where its search for a rate begins, and its own fields.

    `first_rate` is one of the bench's rates. `fields` are a recipe's, such as a rank; `method` is
    given where the entry's name is another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_rate: Rate
    method: str | None = None
    fields: dict[str, Any] = {}


class Bench(BaseModel):
    """What to train: a recipe, tasks and methods that change it, and the seeds of each point.

    `recipe` holds a recipe's fields, `tasks` maps a data set to those that it changes, `methods`
    an entry's name to a `BenchMethod`. A method's rate is looked for on the ladder `rates`, with
    `rate_seed`, by the held-out loss; `seeds` are then trained at the best one. `probe_rows` limits
    the questions on general knowledge. Raises `LabError` through `Bench.from_yaml`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    recipe: dict[str, Any]
    tasks: dict[str, dict[str, Any]] = Field(min_length=1)
    methods: dict[str, BenchMethod] = Field(min_length=1)
    rates: list[Rate] = Field(min_length=1)
    rate_seed: int = 3
    seeds: list[int] = Field([0, 1, 2], min_length=1)
    probe_rows: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _every_point_is_a_recipe(self) -> Bench:
        if self.rates != sorted(set(self.rates)):
            raise ValueError("rates: give each once, the lowest first")
        for name, entry in self.methods.items():
            if entry.first_rate not in self.rates:
                raise ValueError(
                    f"methods.{name}.first_rate: {entry.first_rate:g} is no rate of it"
                )
            if self.method_of(name) not in METHODS:
                raise ValueError(f"methods.{name}: no method {self.method_of(name)!r}")
            for task in self.tasks:
                self.recipe_of(task, name, entry.first_rate, self.rate_seed)
        return self

    def method_of(self, name: str) -> str:
        """Return the method of an entry, which its name is where nothing else is said."""
        return self.methods[name].method or name

    def recipe_of(self, task: str, name: str, rate: float, seed: int, **changes: Any) -> Recipe:
        """Return the recipe of one point."""
        fields = {
            **self.recipe,
            **self.tasks[task],
            **self.methods[name].fields,
            "dataset": task,
            "method": self.method_of(name),
            "learning_rate": rate,
            "seed": seed,
            "checkpoint_every": 0,
            "name": self.name,
        }
        return Recipe.of(f"bench {self.name}", **{**fields, **changes})

    def picked(self, names: Sequence[str]) -> list[str]:
        """Return the entries that a person means, "all" of them; `LabError` for an unknown one."""
        if list(names) == ["all"]:
            return list(self.methods)
        for name in names:
            if name not in self.methods:
                raise choice_error("--peft", name, ["all", *self.methods])
        return list(dict.fromkeys(names))

    @classmethod
    def from_yaml(cls, path: str | Path) -> Bench:
        """Read a bench, one of the course's from any folder.

        Raises `LabError` for a missing file, broken YAML or an illegal field.
        """
        path = bench_file(path)
        return built(cls, path.name, read_fields("bench", path, "methods: …"))
