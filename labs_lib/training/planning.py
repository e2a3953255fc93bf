"""What a run will take, said before it starts: time, memory, and what to change."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.memory import format_bytes
from labs_lib.models import catalogue
from labs_lib.tables import Table
from labs_lib.training.advice import changes
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.hardware import Hardware
    from labs_lib.training.rates import Rates, Sample

MOST_OF_MEMORY = 0.8
"""Share of a machine's memory that a run may take; other programs have the rest."""
PROCESS_BYTES = 2**30
"""What Python and the libraries take of a CPU's memory before any tensor, about."""
VALIDATION_ROWS = 24
FORWARD_SHARE = {True: 1 / 3, False: 1 / 2}
"""Of a step's products, by whether every weight is trained: a frozen one has no gradient."""


@dataclass(frozen=True)
class PlanChange:
    """One change of the recipe and what the run would then take; `costs` says what is lost.

    `seconds` is None where only a measurement would tell, `peak_bytes` where no formula does.
    """

    fields: dict[str, Any]
    seconds: float | None
    peak_bytes: int | None
    costs: str


@dataclass(frozen=True)
class Plan:
    """What a run will take on this machine, all of it "about".

    `tokens` are those of all steps together, `seconds_per_step` is that of a step of mean length,
    by `measured_tokens` tokens that were really trained on; `load_seconds`, `train_seconds` and
    `evaluation_seconds` add up to `seconds`. Of the `rows` about `cut_rows` lose the end of their
    answer at `max_length`, and about `dropped_rows` all of it. `peak_bytes` is the forecast of the
    batch of the longest rows, None where no formula knows the model (`why_no_forecast`);
    `memory_bytes` is what the device has.
    """

    recipe: Recipe
    rows: int
    steps: int
    tokens: int
    longest_row: int
    cut_rows: int
    dropped_rows: int
    seconds_per_step: float
    measured_tokens: int
    load_seconds: float
    train_seconds: float
    evaluation_seconds: float
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
        if self.peak_bytes is None:
            return None
        return _fits(self.peak_bytes, self.memory_bytes)

    def table(self) -> Table:
        """Return the plan as (what, about how much)."""
        recipe = self.recipe
        beyond = f"; at max_length about {self.cut_rows:,} cut, {self.dropped_rows:,} dropped"
        cut = beyond if self.cut_rows or self.dropped_rows else ""
        early = "; fewer, if stop_when_worse ends it" if recipe.stop_when_worse else ""
        memory = f"none: {self.why_no_forecast}"
        if self.peak_bytes is not None:
            memory = (
                f"{format_bytes(self.peak_bytes)} of {format_bytes(self.memory_bytes)}: "
                f"{'fits' if self.fits else 'does not fit'}"
            )
        return Table.of(
            (recipe.name, f"about, on {self.machine}"),
            [
                (
                    "training rows",
                    f"{self.rows:,}, the longest of {self.longest_row:,} tokens{cut}",
                ),
                ("steps", f"{self.steps:,} of {recipe.rows_per_step} rows{early}"),
                ("tokens", f"{self.tokens:,}"),
                (
                    "a step",
                    f"{self.seconds_per_step:.2g} s, by {self.measured_tokens:,} tokens trained on",
                ),
                ("training", in_words(self.train_seconds)),
                ("answers and losses, before and after", in_words(self.evaluation_seconds)),
                ("loading the model", in_words(self.load_seconds)),
                ("all together", in_words(self.seconds)),
                ("peak memory (forecast)", memory),
            ],
        )

    def changes_table(self) -> Table:
        """Return what to change if it takes too long or too much, with what each change wins."""
        lines = [("as it is", in_words(self.seconds), _memory(self.peak_bytes), "")]
        for each in self.changes:
            fields = ", ".join(f"{name}: {_value(value)}" for name, value in each.fields.items())
            time = "to be measured" if each.seconds is None else in_words(each.seconds)
            lines.append((fields, time, _memory(each.peak_bytes), each.costs))
        return Table.of(("change", "time, about", "peak memory", "what it costs"), lines)

    def __repr__(self) -> str:
        return f"{self.table()!r}\n\n{self.changes_table()!r}"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_() + self.changes_table()._repr_html_()


def plan(recipe: Recipe) -> Plan:
    """Say what `train(recipe)` will take: by three real steps on this machine, and the forecast.

    The steps are taken with the recipe's own batches of rows of middle length, fewer rows at once
    where these have many tokens; then a few prompts are answered. Nothing of it is kept. It takes
    as long as loading the model and those steps. Raises `LabError` as `train` does, and for a model
    that by forecast does not fit this machine with a single row.
    """
    from labs_lib import hardware
    from labs_lib.training.rates import measured

    machine = hardware.detect()
    _check_one_row_fits(recipe, machine)
    sample, rates = measured(recipe)
    steps, tokens, train_seconds, evaluation_seconds = _times(recipe, sample, rates)
    peak, why = _peak_bytes(recipe, sample, rates, machine.device)
    return Plan(
        recipe=recipe,
        rows=sample.rows,
        steps=steps,
        tokens=tokens,
        longest_row=sample.longest,
        cut_rows=sample.cut,
        dropped_rows=sample.rows - sample.usable,
        seconds_per_step=train_seconds / steps,
        measured_tokens=rates.measured_tokens,
        load_seconds=rates.load_seconds,
        train_seconds=train_seconds,
        evaluation_seconds=evaluation_seconds,
        peak_bytes=peak,
        memory_bytes=machine.device_memory_bytes,
        machine=machine.device_name,
        why_no_forecast=why,
        changes=_changes(recipe, sample, rates, machine.device),
    )


def _check_one_row_fits(recipe: Recipe, machine: Hardware) -> None:
    """Raise `LabError` where one row of 64 tokens is too much: nothing could be measured."""
    from labs_lib.training.forecasting import forecast_beside

    precision = recipe.precision_on(machine)
    one = recipe.but(batch_size=1, accumulation=1)
    found = forecast_beside(one, precision, machine.device, min(64, recipe.max_length), 0)
    peak = found.get("peak_bytes")
    if peak is not None and not _fits(peak, machine.device_memory_bytes):
        advice = "a smaller model" if recipe.quantizes else "method: qlora, or a smaller model"
        raise LabError(
            f"model: {recipe.model} by {recipe.method} takes about {format_bytes(peak)} for a "
            f"single row of 64 tokens, and this machine has "
            f"{format_bytes(machine.device_memory_bytes)}; take {advice}"
        )


def _fits(peak_bytes: int, memory_bytes: int) -> bool:
    return peak_bytes + PROCESS_BYTES <= MOST_OF_MEMORY * memory_bytes


def _times(recipe: Recipe, sample: Sample, rates: Rates) -> tuple[int, int, float, float]:
    """Return a run's steps and tokens, and its seconds of training and of evaluation."""
    kept = [min(length, recipe.max_length) for length in sample.lengths]
    row_tokens = statistics.fmean(kept)
    given = min(sample.rows, recipe.train_rows or sample.rows)
    steps = recipe.count_steps(max(1, round(sample.usable * given / sample.rows)))
    tokens = round(steps * recipe.rows_per_step * row_tokens)
    validation = min(VALIDATION_ROWS, sample.validation_rows) * row_tokens * rates.trained_seconds
    losses = 2 + (steps // recipe.eval_every if recipe.eval_every else 0)
    answered = min(recipe.eval_rows, sample.test_rows)
    batches = -(-answered // 48)  # as many prompts are answered at once
    answers = answered * sample.prompt_tokens * rates.read_seconds
    answers += batches * recipe.eval_tokens * rates.written_seconds
    evaluation = 2 * answers + losses * validation * FORWARD_SHARE[recipe.trains_all]
    return steps, tokens, tokens * rates.trained_seconds, evaluation


def _peak_bytes(
    recipe: Recipe, sample: Sample, rates: Rates, device: str
) -> tuple[int | None, str]:
    """Return the forecast of the longest batch, or None and why there is none."""
    from labs_lib.training.forecasting import forecast_beside

    longest = min(sample.longest, recipe.max_length)
    found = forecast_beside(recipe, rates.precision, device, longest, 0, rates.laid_out)
    return found.get("peak_bytes"), found.get("why_none", "")


def _changes(recipe: Recipe, sample: Sample, rates: Rates, device: str) -> tuple[PlanChange, ...]:
    """Return what to try, first what saves time, then what saves memory."""
    found = []
    for fields, costs in [*_shorter_runs(recipe, sample), *_smaller_steps(recipe, sample)]:
        changed = recipe.but(**fields)
        found.append(
            PlanChange(
                fields,
                _seconds_with(recipe, changed, sample, rates),
                _peak_with(changed, sample, rates, device),
                costs,
            )
        )
    return tuple(found)


def _shorter_runs(recipe: Recipe, sample: Sample) -> list[tuple[dict[str, Any], str]]:
    """Return changes that make the run shorter, with what each costs."""
    tried: list[tuple[dict[str, Any], str]] = []
    if recipe.steps and recipe.steps > 1:
        half = {"steps": recipe.steps // 2, "warmup_steps": recipe.warmup_steps // 2}
        tried.append((_differing(recipe, half), "the loss may still be falling"))
    elif recipe.epochs:
        tried.append(({"epochs": recipe.epochs / 2}, "the loss may still be falling"))
        if sample.rows >= 40:
            tried.append(({"train_rows": sample.rows // 2}, "half of the rows are never seen"))
    if recipe.eval_rows >= 40 and sample.test_rows >= 40:
        tried.append(({"eval_rows": recipe.eval_rows // 2}, "an interval 1.4 times as wide"))
    smaller = _smaller_model(recipe.model)
    if smaller:
        tried.append(({"model": smaller}, "a smaller model knows less; it must be on this machine"))
    return tried


def _smaller_steps(recipe: Recipe, sample: Sample) -> list[tuple[dict[str, Any], str]]:
    """Return changes that make a step smaller, with what each costs."""
    costs = {
        "checkpointing": "a third more time: layers run forward twice",
        "batch_size": "nothing but some speed: the same gradient",
        "method": "a frozen base; with QLoRA also a rounded one and slower steps",
    }
    tried = [
        (fields, costs[next(iter(fields))])
        for fields in changes(recipe)
        if next(iter(fields)) in costs
    ]
    lengths = sorted(sample.lengths)
    ninety = max(8, lengths[int(0.9 * (len(lengths) - 1))])
    if ninety < min(sample.longest, recipe.max_length):
        tried.append(({"max_length": ninety}, "one row in ten is cut or dropped"))
    return tried


def _seconds_with(recipe: Recipe, changed: Recipe, sample: Sample, rates: Rates) -> float | None:
    """Return the seconds of a changed recipe by what was measured; None where that cannot tell."""
    if changed.quantizes != recipe.quantizes:
        return None
    _, _, train, evaluation = _times(changed, sample, rates)
    size = _size_of(changed.model) / _size_of(recipe.model)
    if changed.checkpointing and not recipe.checkpointing:
        train *= 4 / 3
    if recipe.trains_all and not changed.trains_all:
        train *= 2 / 3  # of three products a weight, the one for its gradient is saved
    return rates.load_seconds * size + (train + evaluation) * size


def _peak_with(changed: Recipe, sample: Sample, rates: Rates, device: str) -> int | None:
    """Return the forecast of a changed recipe, its batch laid out as the measured one was."""
    from labs_lib.training.forecasting import resized

    sizes = resized(rates.laid_out, changed) if rates.laid_out else None
    rates = dataclasses.replace(rates, laid_out=sizes)
    return _peak_bytes(changed, sample, rates, device)[0]


def _smaller_model(name: str) -> str | None:
    """Return the next smaller model of the catalogue with the same first name, if there is one."""
    known = catalogue()
    if name not in known:
        return None
    family = name.partition("-")[0]
    smaller = [
        each.name
        for each in known.values()
        if each.name.partition("-")[0] == family and each.parameters < known[name].parameters
    ]
    return max(smaller, key=lambda each: known[each].parameters, default=None)


def _size_of(model: str) -> int:
    """Return the parameters of a model of the catalogue; 1 for another, which is not exchanged."""
    known = catalogue()
    return known[model].parameters if model in known else 1


def _differing(recipe: Recipe, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if getattr(recipe, name) != value}


def in_words(seconds: float) -> str:
    """Return a duration to about two digits: "45 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"


def _memory(peak_bytes: int | None) -> str:
    return "–" if peak_bytes is None else format_bytes(peak_bytes)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
