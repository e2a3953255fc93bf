"""What a bench found: one record a run, read back by task, method and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from labs_lib.errors import LabError, choice_error
from labs_lib.tables import Table
from labs_lib.training.bench.settings import Bench
from labs_lib.training.records import Record, damaged, made_by, read_values
from labs_lib.training.sweep import RECORDED
from labs_lib.training.sweep_points import Spread

PREFIX = "bench-"
"""Begins the names of the recorded benches, among the recorded sweeps."""


@dataclass(frozen=True)
class BenchPoint(Record):
    """One training run of a bench: a task, an entry of its methods, a rate and a seed.

    `search` says that the run only looked for the rate: it has a held-out loss and nothing that
    takes long to measure. Losses are in nats per token, before training and after; `rates` are
    shares of held-out rows, 0 to 1, the task's score first; `text_loss` is the loss on ordinary
    text, `probe_kept` the share of facts known before that are still known. `forecast_bytes` is
    the forecast of the peak, by `forecast_source`: the formula's own, or the trace of
    transformers' plain step. `run_seconds` is a whole run's time, its start and its answers
    included, `train_seconds` that of its steps alone. A run that diverged names its step.
    """

    task: str
    name: str
    learning_rate: float
    seed: int
    search: bool
    trainable_parameters: int
    loss_before: float | None
    loss: float | None
    rates: dict[str, float]
    text_loss_before: float | None = None
    text_loss: float | None = None
    probe_before: float | None = None
    probe_kept: float | None = None
    peak_bytes: int | None = None
    forecast_bytes: int | None = None
    forecast_source: str = ""
    train_seconds: float | None = None
    run_seconds: float | None = None
    saved_bytes: int | None = None
    diverged_at_step: int | None = None

    @property
    def text_loss_change(self) -> float | None:
        """By how much training changed the loss on ordinary text, in nats per token."""
        if self.text_loss is None or self.text_loss_before is None:
            return None
        return self.text_loss - self.text_loss_before

    @property
    def score(self) -> float | None:
        """The share of held-out rows that the task's first metric counts as right, 0 to 1."""
        return next(iter(self.rates.values()), None)

    def value(self, what: str) -> float:
        """Return a field, a rate, `score` or `text_loss_change`; not a number where unknown."""
        if what in self.rates:
            return self.rates[what]
        if what not in (*self.__dataclass_fields__, "score", "text_loss_change"):
            raise choice_error("value", what, ["score", "text_loss_change", *VALUES, *self.rates])
        found = getattr(self, what)
        return math.nan if found is None else float(found)


VALUES = (
    "loss", "text_loss", "probe_kept", "peak_bytes", "forecast_bytes", "train_seconds",
    "run_seconds", "saved_bytes", "trainable_parameters",
)  # fmt: skip

_COLUMNS: tuple[tuple[str, str, float, str], ...] = (
    ("held-out loss", "loss", 1, "{:.3f}"),
    ("score (%)", "score", 0.01, "{:.0f}"),
    ("plain text, change", "text_loss_change", 1, "{:+.3f}"),
    ("facts kept (%)", "probe_kept", 0.01, "{:.0f}"),
    ("peak (MiB)", "peak_bytes", 2**20, "{:.0f}"),
    ("forecast (MiB)", "forecast_bytes", 2**20, "{:.0f}"),
    ("training (s)", "train_seconds", 1, "{:.1f}"),
    ("file (MiB)", "saved_bytes", 2**20, "{:.2f}"),
)


@dataclass(frozen=True)
class BenchResult(Record):
    """The finished points of a bench, with the bench and where and when it was run."""

    bench: Bench
    points: tuple[BenchPoint, ...]
    hardware: dict[str, Any]
    versions: dict[str, str]
    data_fingerprints: dict[str, str]
    finished_utc: str

    def tasks(self) -> list[str]:
        """Return the tasks that something was trained on, in the bench's order."""
        return [task for task in self.bench.tasks if any(p.task == task for p in self.points)]

    def methods(self, task: str | None = None) -> list[str]:
        """Return the entries that have a finished run (of this task), in the bench's order."""
        done = {p.name for p in self.points if not p.search and task in (None, p.task)}
        return [name for name in self.bench.methods if name in done]

    def of(self, task: str, name: str, search: bool = False) -> list[BenchPoint]:
        """Return the runs of one entry on one task: those at its best rate, or the search's.

        Raises `LabError` for a task or an entry that has none.
        """
        if task not in self.tasks():
            raise choice_error("task", task, self.tasks())
        found = [p for p in self.points if (p.task, p.name, p.search) == (task, name, search)]
        if not found:
            raise choice_error("method", name, self.methods(task))
        return found

    def only(self, names: Sequence[str]) -> BenchResult:
        """Return the results of these entries alone."""
        return replace(self, points=tuple(p for p in self.points if p.name in names))

    def spread(self, task: str, name: str, what: str) -> Spread:
        """Return the mean, lowest and highest of `BenchPoint.value` over the seeds."""
        points = self.of(task, name)
        values = [p.value(what) for p in points if p.diverged_at_step is None]
        known = [value for value in values if not math.isnan(value)]
        return Spread.over({"method": name}, known, len(points) - len(values))

    def searched(self, task: str, name: str) -> dict[float, float]:
        """Return rate → held-out loss of the search, infinite where the run diverged."""
        runs = [p for p in self.points if p.search and (p.task, p.name) == (task, name)]
        return {p.learning_rate: math.inf if p.loss is None else p.loss for p in runs}

    def best_rate(self, task: str, name: str) -> float:
        """Return the rate with the lowest held-out loss in the search; `LabError` without one."""
        losses = self.searched(task, name)
        if not losses:
            raise LabError(f"bench {self.bench.name}: no rate was looked for: {name} on {task}")
        return min(losses, key=lambda rate: (losses[rate], rate))

    def table(self, task: str, timing: bool = True) -> Table:
        """Return a row a method, the lowest held-out loss first: means over the seeds.

        Without `timing` it has no seconds: those of runs that shared their machine compare nothing.
        """
        columns = [each for each in _COLUMNS if timing or not each[1].endswith("seconds")]
        ordered = sorted(self.methods(task), key=lambda n: _last(self.spread(task, n, "loss").mean))
        rows = []
        for name in ordered:
            first = self.of(task, name)[0]
            cells = []
            for _, what, unit, form in columns:
                mean = self.spread(task, name, what).mean
                cells.append("–" if math.isnan(mean) else form.format(mean / unit))
            rate = f"{first.learning_rate:g}"
            trained = f"{first.trainable_parameters / 1000:,.0f}"
            rows.append((name, trained, rate, *cells))
        heads = ("trained (thousands)", "best rate", *(each[0] for each in columns))
        return Table.of((task, *heads), rows)

    def rates(self, task: str) -> Table:
        """Return a row a method, a column a rate: the search's held-out losses, the best in stars.

        A dash stands where the search did not go.
        """
        rows = []
        for name in self.methods(task):
            losses, best = self.searched(task, name), self.best_rate(task, name)
            cells = []
            for rate in self.bench.rates:
                loss = losses.get(rate)
                text = "–" if loss is None else "diverged" if math.isinf(loss) else f"{loss:.3f}"
                cells.append(f"*{text}*" if rate == best else text)
            rows.append((name, *cells))
        return Table.of((task, *(f"{rate:g}" for rate in self.bench.rates)), rows)

    def provenance(self) -> str:
        """Return where and when the results were made, in one line."""
        what = f"bench {self.bench.name}"
        return made_by(what, len(self.points), self.hardware, self.versions, self.finished_utc)

    @classmethod
    def load(cls, path: Any) -> BenchResult:
        """Read a result file; `LabError` where there is none or it is damaged."""
        try:
            return cls.from_dict(read_values(path))
        except FileNotFoundError:
            raise LabError(f"bench: no results in {path.name}") from None
        except (OSError, ValueError) as error:
            raise damaged(f"bench: {path.name}", error) from None


def recorded_bench(name: str) -> BenchResult:
    """Return a bench that ships with the course, with its versions, machine and date."""
    folder = resources.files("labs_lib.training") / RECORDED
    names = sorted(
        file.name.removeprefix(PREFIX).removesuffix(".json")
        for file in folder.iterdir()
        if file.name.startswith(PREFIX)
    )
    if name not in names:
        raise choice_error("recorded bench", name, names)
    return BenchResult.load(folder / f"{PREFIX}{name}.json")


def _last(mean: float) -> float:
    """Return a mean to sort by: one that is not known comes last."""
    return math.inf if math.isnan(mean) else mean
