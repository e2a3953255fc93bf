"""How fast this machine trains and answers by a recipe: a few real steps, a few real answers."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib import data, hardware, models
from labs_lib.errors import LabError
from labs_lib.memory import LaidOut
from labs_lib.quiet import quiet_libraries
from labs_lib.training.encoding import Encoder, check_tokenizer, nothing_fits
from labs_lib.training.engine.building import build_trainer
from labs_lib.training.engine.evaluating import evaluating
from labs_lib.training.engine.longest import batch_laid_out
from labs_lib.training.evaluation import answer
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.data import Row

MOST_ENCODED = 400
"""Rows that are turned into tokens, drawn at random; the longest few are added."""
LONGEST = 8
MEASURED_TOKENS = 2000
"""Tokens of a measured step, about; a larger batch is measured on fewer of its rows."""
WARM_UP_STEPS, MEASURED_STEPS = 1, 2
ANSWERED_ROWS = 8
FIRST_TOKENS, MORE_TOKENS = 1, 6


@dataclass(frozen=True)
class Sample:
    """The data of a run, by a sample of its training rows.

    `lengths` are the tokens of the sampled rows that can be used, uncut; `longest` is the longest
    row of all, as far as its characters tell. `usable` of the `rows` fit into the recipe's
    `max_length` with a token of their answer and `cut` of these lose its end, about.
    `prompt_tokens` is the mean of the test rows that are answered.
    """

    rows: int
    usable: int
    cut: int
    lengths: tuple[int, ...]
    longest: int
    validation_rows: int
    test_rows: int
    prompt_tokens: float


@dataclass(frozen=True)
class Rates:
    """Seconds on this machine for a token that is trained, read before an answer, or written.

    A written token is one for all rows of a batch. `load_seconds` is what loading the model took;
    `measured_tokens` how many tokens were trained on, in `MEASURED_STEPS` steps. `laid_out` is the
    batch of the longest rows as the model is given it, None where it is given padded rows.
    """

    load_seconds: float
    trained_seconds: float
    read_seconds: float
    written_seconds: float
    measured_tokens: int
    laid_out: LaidOut | None
    precision: str


def measured(recipe: Recipe) -> tuple[Sample, Rates]:
    """Sample the recipe's data and take a few steps by it; nothing of them is kept.

    Raises `LabError` as `train` does for a model, data or a recipe that cannot be used.
    """
    models.locate(recipe.model)
    data_set = data.resolve(recipe.dataset)
    given = data_set.train[: recipe.train_rows]
    if not given:
        raise LabError(f"dataset: {recipe.dataset} has no training rows")
    machine = hardware.detect()
    precision = recipe.precision_on(machine)
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tokenizer = models.load_tokenizer(recipe.model)
        check_tokenizer(tokenizer, recipe.model)
        encoder = Encoder(tokenizer, recipe.max_length, recipe.model)
        drawn, longest = _drawn(given)
        usable, fit = encoder.fitting(drawn)
        if not usable:
            raise nothing_fits(drawn, encoder)
        usable.sort(key=lambda row: len(encoder.encode(row).input_ids))
        rows = _measured_rows(recipe, encoder, usable)
        steps = WARM_UP_STEPS + MEASURED_STEPS
        short = recipe.but(
            steps=steps, epochs=None, warmup_steps=0, accumulation=1, batch_size=len(rows) // steps,
            checkpoint_every=0, eval_every=0, stop_when_worse=0,
        )  # fmt: skip
        model, _, trainer = build_trainer(
            short, rows, [], machine, precision, Path(folder), encoder
        )
        load_seconds = time.perf_counter() - started
        trainer.measure_no_step()
        trainer.train()
        seconds = [line["step_seconds"] for line in trainer.state.log_history if "loss" in line]
        per_step = len(rows) // steps
        tokens = sum(len(encoder.encode(row).input_ids) for row in rows[WARM_UP_STEPS * per_step :])
        test = data_set.test[: recipe.eval_rows]
        read, written, prompt_tokens = _answering(model, encoder, test)
        longest_rows = _longest_rows(encoder, [*usable, *longest], recipe.batch_size)
        sizes = batch_laid_out(trainer, encoder.dataset(longest_rows))
    sample = Sample(
        rows=len(given),
        usable=max(1, round(len(given) * fit.used / len(drawn))),
        cut=round(len(given) * fit.cut / len(drawn)),
        lengths=tuple(encoder.encode(row).tokens for row in usable),
        longest=max(encoder.encode(row).tokens for row in [*drawn, *longest]),
        validation_rows=len(data_set.validation),
        test_rows=len(test),
        prompt_tokens=prompt_tokens,
    )
    trained = sum(seconds[WARM_UP_STEPS:]) / tokens
    rates = Rates(load_seconds, trained, read, written, tokens, sizes, precision)
    return sample, rates


def _drawn(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return rows drawn at random, and the longest by their characters."""
    count = min(MOST_ENCODED, len(rows))
    drawn = random.Random(0).sample(list(rows), count)
    by_length = sorted(rows, key=lambda row: len(row.prompt) + len(row.completion))
    return drawn, by_length[-LONGEST:]


def _measured_rows(recipe: Recipe, encoder: Encoder, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the steps to measure, from the middle of `rows`, which go by length."""
    middle = len(encoder.encode(rows[len(rows) // 2]).input_ids)
    at_once = max(1, min(recipe.batch_size, MEASURED_TOKENS // middle))
    wanted = at_once * (WARM_UP_STEPS + MEASURED_STEPS)
    start = max(0, (len(rows) - wanted) // 2)
    chosen = list(rows[start : start + wanted])
    return [chosen[index % len(chosen)] for index in range(wanted)]


def _answering(model: Any, encoder: Encoder, rows: Sequence[Row]) -> tuple[float, float, float]:
    """Return the seconds to read a prompt's token and to write a token, and a prompt's tokens."""
    if not rows:
        return 0.0, 0.0, 0.0
    lengths = [len(ids) for ids in encoder.prompts_ids(rows)]
    mean = sum(lengths) / len(lengths)
    asked = rows[: max(1, min(ANSWERED_ROWS, int(MEASURED_TOKENS // mean)))]
    messages = [row.prompt_messages() for row in asked]

    def seconds(rows: int, new_tokens: int) -> float:
        started = time.perf_counter()
        answer(model, encoder.tokenizer, messages[:rows], new_tokens)
        return time.perf_counter() - started

    with evaluating(model, fold=True):
        seconds(1, FIRST_TOKENS)  # the first answer of a process also sets the libraries up
        first = seconds(len(asked), FIRST_TOKENS)
        more = seconds(len(asked), FIRST_TOKENS + MORE_TOKENS)
    written = max(0.0, more - first) / MORE_TOKENS
    return max(0.0, first - written) / sum(lengths[: len(asked)]), written, mean


def _longest_rows(encoder: Encoder, rows: Sequence[Row], count: int) -> list[Row]:
    usable, _ = encoder.fitting(rows)
    return sorted(usable, key=lambda row: len(encoder.encode(row).input_ids))[-count:]
