"""Full fine-tuning, LoRA and QLoRA on one bench: same rows, same seeds, same steps."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from importlib import resources
from typing import Any

from labs_lib.errors import LabError, choice_error
from labs_lib.step.methods import METHODS
from labs_lib.tables import Table
from labs_lib.training.recipe import Recipe
from labs_lib.training.records import Record, damaged, read_values
from labs_lib.training.sweep import RECORDED
from labs_lib.training.sweep_points import Spread

COMPARISON_FILE = "comparison.json"
PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")


@dataclass(frozen=True)
class Arm(Record):
    """One method at one seed: what it cost and what it can do afterwards.

    `memory` maps `weights_bytes`, `adapter_bytes`, `gradients_bytes`, `optimizer_bytes` and
    `activations_bytes` to the bytes that make up `peak_bytes`; `saved_bytes` is the file that
    training leaves. `rates` are shares of held-out rows, 0 to 1, and `rates_before` those of the
    untrained base in the method's own precision; `probe_kept` is the share of the
    general-knowledge probe that the base had right and the tuned model still has; `text_loss` is
    the loss on ordinary text (`data.general_text`) in nats per token. An arm whose
    training diverged names the step in `diverged_at_step` and holds what is known of it; what is
    not is None or empty.
    """

    method: str
    seed: int
    learning_rate: float
    trainable_parameters: int
    memory: dict[str, int]
    peak_bytes: int | None
    peak_kind: str
    seconds_per_step: float | None
    tokens_per_second: float | None
    train_seconds: float | None
    loss_before: float | None
    loss: float | None
    rates_before: dict[str, float]
    rates: dict[str, float]
    probe_before: float | None
    probe_after: float | None
    probe_kept: float | None
    saved_bytes: int | None
    answers: tuple[str, ...]
    diverged_at_step: int | None = None
    text_loss_before: float | None = None  # younger than the first records
    text_loss: float | None = None

    @property
    def text_loss_change(self) -> float | None:
        """By how much training changed the loss on ordinary text, in nats per token."""
        if self.text_loss is None or self.text_loss_before is None:
            return None
        return self.text_loss - self.text_loss_before


@dataclass(frozen=True)
class Comparison(Record):
    """The arms of a comparison with the recipe they share and where and when they were trained."""

    recipe: Recipe
    arms: tuple[Arm, ...]
    prompts: tuple[str, ...]
    probe_rows: int
    hardware: dict[str, Any]
    versions: dict[str, str]
    data_fingerprint: str
    finished_utc: str

    def methods(self) -> list[str]:
        """Return the methods that were trained, in the order of the table of methods."""
        return [method for method in METHODS if any(arm.method == method for arm in self.arms)]

    def of(self, method: str) -> list[Arm]:
        """Return a method's arms, one a seed."""
        return [arm for arm in self.arms if arm.method == method]

    def mean(self, method: str, value: str) -> float:
        """Return the mean over the seeds of a field of `Arm`, a rate or a part of the memory."""
        return statistics.fmean(self.values(method, value))

    def values(self, method: str, value: str) -> list[float]:
        """Return one number a seed: a field of `Arm`, a rate or a part of the memory.

        Not a number stands for what was not measured: a loss without rows, a share of nothing.
        Raises `LabError` for a method that was not compared, and for an unknown value.
        """
        if method not in self.methods():
            raise choice_error("method", method, self.methods())
        legal = [*Arm.__dataclass_fields__, "text_loss_change"]
        legal += [name for arm in self.arms for name in (*arm.rates, *arm.memory)]
        if value not in legal:
            raise choice_error("value", value, dict.fromkeys(legal))
        # An arm that diverged has no rates and no parts of the memory.
        known = (
            vars(arm) | {"text_loss_change": arm.text_loss_change} | arm.memory | arm.rates
            for arm in self.of(method)
        )
        numbers = [values.get(value) for values in known]
        return [math.nan if number is None else float(number) for number in numbers]

    def spread(self, method: str, value: str) -> Spread:
        """Return the mean, lowest and highest of what `values` returns, diverged arms left out."""
        values = [number for number in self.values(method, value) if not math.isnan(number)]
        diverged = sum(arm.diverged_at_step is not None for arm in self.of(method))
        return Spread.over({"method": method}, values, diverged)

    def table(self, timing: bool = True) -> Table:
        """Return a table for people: a column a method, mean over seeds (lowest to highest).

        Without `timing` it has no seconds: those of runs that shared their machine compare nothing.
        """
        first = self.trained()[0]
        metrics = list(first.rates)
        lines: list[tuple[str, str, float, str]] = [
            ("trainable parameters", "trainable_parameters", 1, "{:,.0f}"),
            *((f"{part} (MiB)", f"{part}_bytes", 2**20, "{:,.1f}") for part in PARTS),
            (f"peak, {first.peak_kind} (MiB)", "peak_bytes", 2**20, "{:,.0f}"),
            ("seconds a step", "seconds_per_step", 1, "{:.2f}"),
            ("tokens a second", "tokens_per_second", 1, "{:,.0f}"),
            ("held-out loss (nats/token)", "loss", 1, "{:.3f}"),
            *((f"{metric.replace('_', ' ')} (%)", metric, 0.01, "{:.0f}") for metric in metrics),
            ("general knowledge before (%)", "probe_before", 0.01, "{:.0f}"),
            ("general knowledge after (%)", "probe_after", 0.01, "{:.0f}"),
            ("of what was known, kept (%)", "probe_kept", 0.01, "{:.0f}"),
            ("loss on plain text before (nats/token)", "text_loss_before", 1, "{:.3f}"),
            ("loss on plain text after (nats/token)", "text_loss", 1, "{:.3f}"),
            ("saved file (MiB)", "saved_bytes", 2**20, "{:,.1f}"),
        ]
        if all(arm.text_loss is None for arm in self.arms):
            lines = [line for line in lines if not line[1].startswith("text_loss")]
        rows = [
            (label, *(self._cell(method, value, unit, form) for method in self.methods()))
            for label, value, unit, form in lines
            if timing or value not in ("seconds_per_step", "tokens_per_second")
        ]
        return Table.of((self.recipe.name, *self.methods()), rows)

    def trained(self) -> list[Arm]:
        """Return the arms that did not diverge."""
        return [arm for arm in self.arms if arm.diverged_at_step is None]

    def _cell(self, method: str, value: str, unit: float, form: str) -> str:
        arms = self.of(method)
        diverged = sum(arm.diverged_at_step is not None for arm in arms)
        if diverged:
            return "diverged" if diverged == len(arms) else f"{diverged} of {len(arms)} diverged"
        numbers = [number / unit for number in self.values(method, value)]
        if any(map(math.isnan, numbers)):
            return "–"
        low, high = form.format(min(numbers)), form.format(max(numbers))
        spread = f" ({low} to {high})" if low != high else ""
        return form.format(statistics.fmean(numbers)) + spread

    @classmethod
    def load(cls, path: Any) -> Comparison:
        """Read a comparison file; `LabError` where there is none or it is damaged."""
        try:
            return cls.from_dict(read_values(path))
        except FileNotFoundError:
            raise LabError(f"compare: no results in {path.name}") from None
        except (OSError, ValueError) as error:
            raise damaged(f"compare: {path.name}", error) from None


def recorded_comparison(name: str) -> Comparison:
    """Return a comparison that ships with the course, with its versions, machine and date."""
    folder = resources.files("labs_lib.training") / RECORDED
    names = sorted(
        file.name.removeprefix("compare-").removesuffix(".json")
        for file in folder.iterdir()
        if file.name.startswith("compare-")
    )
    if name not in names:
        raise choice_error("recorded comparison", name, names)
    return Comparison.load(folder / f"compare-{name}.json")


def method_recipe(recipe: Recipe, method: str, seed: int) -> Recipe:
    """Return what one arm trains: the shared recipe with its method, seed and learning rate."""
    if method not in METHODS:
        raise choice_error("--methods", method, METHODS)
    rate = recipe.learning_rate * METHODS[method].rate_share
    return recipe.but(
        name=f"{recipe.name}-{method}-{seed}"[-64:].lstrip("-._"),
        method=method,
        seed=seed,
        learning_rate=rate,
        checkpoint_every=0,
    )
