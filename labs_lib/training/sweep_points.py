"""What a sweep keeps of each of its runs, and of a point over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.errors import choice_error
from labs_lib.training.records import Record

if TYPE_CHECKING:
    from labs_lib.training.failures import DivergedError
    from labs_lib.training.run import Run


@dataclass(frozen=True)
class Point(Record):
    """One training run of a sweep: what was changed, its seed and what came out.

    `loss` is the held-out loss in nats per token after training (`loss_before` before it);
    `rates` are shares of held-out rows, 0 to 1; `answers[i]` belongs to the sweep's `prompts[i]`.
    A run that diverged names the step in `diverged_at_step` and has none of these.
    """

    changes: dict[str, Any]
    seed: int
    loss: float | None
    last_training_loss: float | None
    rates: dict[str, float]
    answers: tuple[str, ...]
    trainable_parameters: int
    seconds_per_step: float | None
    peak_bytes: int | None
    diverged_at_step: int | None = None

    @classmethod
    def of(cls, changes: dict[str, Any], run: Run) -> Point:
        """Take from a run what a sweep keeps."""
        tail = run.losses[-4:]
        return cls(
            changes=changes,
            seed=run.recipe.seed,
            loss=run.after.loss,
            last_training_loss=sum(tail) / len(tail),
            rates=run.after.rates() if run.after.prompts else {},
            answers=run.after.answers,
            trainable_parameters=run.trainable_parameters,
            seconds_per_step=run.cost.seconds_per_step,
            peak_bytes=run.cost.peak_bytes,
        )

    @classmethod
    def of_diverged(cls, changes: dict[str, Any], error: DivergedError) -> Point:
        """Record a run that diverged."""
        return cls(
            changes=changes,
            seed=error.recipe.seed,
            loss=None,
            last_training_loss=None,
            rates={},
            answers=(),
            trainable_parameters=error.trainable_parameters,
            seconds_per_step=None,
            peak_bytes=None,
            diverged_at_step=error.step,
        )

    def value(self, metric: str) -> float:
        """Return a metric by name: `loss`, `last_training_loss` or one of `rates`."""
        if metric in self.rates:
            return self.rates[metric]
        if self.diverged_at_step is not None:
            return float("nan")
        if metric not in ("loss", "last_training_loss"):
            raise choice_error("metric", metric, ["loss", "last_training_loss", *self.rates])
        value = getattr(self, metric)
        return float("nan") if value is None else value


@dataclass(frozen=True)
class Spread:
    """A metric at one point over its seeds; those that diverged are counted apart."""

    changes: dict[str, Any]
    mean: float
    low: float
    high: float
    count: int
    diverged: int = 0

    @classmethod
    def over(cls, changes: dict[str, Any], values: Sequence[float], diverged: int = 0) -> Spread:
        """Return the spread of one value a seed; not a number where no seed has one."""
        some = list(values) or [float("nan")]
        mean = statistics.fmean(some)
        return cls(changes, mean, min(some), max(some), len(values), diverged)

    def versus(self, other: Spread) -> str:
        """Say how this compares with another: clearly, if no seed of one contradicts it."""
        if self.high < other.low:
            return "clearly lower than"
        return "clearly higher than" if self.low > other.high else "not clearly different from"

    def repeated_by(self, value: float, most: float = 2.0) -> str:
        """Say in a sentence how a run that repeats this point compares with the recorded ones.

        Raises AssertionError for a loss above `most` times the highest one: it learned less.
        """
        assert value <= most * self.high, (
            f"this run ended at {value:.3f}, the recorded ones at {self.text()}: it learned less"
        )
        place = "inside" if self.low <= value <= self.high else "outside"
        return (
            f"recorded over the seeds: {self.text()}\nrun here: {value:.3f}, {place} that range, "
            f"{value / self.mean - 1:+.1%} from its mean"
        )

    def text(self, pattern: str = "{:.3f}") -> str:
        """Return "mean (lowest–highest)", the mean alone for one seed, a dash for no value."""
        if self.mean != self.mean:
            return "diverged" if self.diverged else "–"
        mean, low, high = (pattern.format(value) for value in (self.mean, self.low, self.high))
        text = mean if self.count == 1 else f"{mean} ({low}–{high})"
        return f"{text}, {self.diverged} diverged" if self.diverged else text
