"""What a sweep keeps of each of its runs, and of a point over its seeds."""

from __future__ import annotations

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

    def text(self, pattern: str = "{:.3f}") -> str:
        """Return "mean (lowest–highest)", the mean alone for one seed, a dash for no value."""
        if self.mean != self.mean:
            return "diverged" if self.diverged else "–"
        mean, low, high = (pattern.format(value) for value in (self.mean, self.low, self.high))
        text = mean if self.count == 1 else f"{mean} ({low}–{high})"
        return f"{text}, {self.diverged} diverged" if self.diverged else text
