"""What a run will take, said before it: counts exact, memory as measured, time in its order."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_training_session import tiny_recipe

from labs_lib import data, hardware
from labs_lib.commands.train import command
from labs_lib.errors import LabError
from labs_lib.training import Plan, Recipe, plan, train
from labs_lib.training.encoding import Encoder
from labs_lib.training.planning import _times, in_words
from labs_lib.training.progress import Silent
from labs_lib.training.rates import LONGEST, MOST_ENCODED, Rates, Sample

# One worker makes what the whole file reads.
pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("training_planning")]


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    """Return the recipe of the run that is planned."""
    return tiny_recipe(tiny_model, dropout=0.0, steps=None, epochs=0.5, eval_rows=8)


@pytest.fixture(scope="module")
def planned(recipe: Recipe) -> Plan:
    """Return its plan."""
    return plan(recipe)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of 20,000 rows of some 1,000 tokens each, in no language of the model's."""
    file = tmp_path_factory.mktemp("many") / "many.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for number in range(20_000):
            text = f"дождь {number} " * (160 if number % 2 else 80)
            row = {"prompt": text, "completion": f"да {number}"}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(file)


def test_a_plan_counts_what_the_run_takes(recipe: Recipe, planned: Plan):
    data_set = data.load_set("sea-captain")
    assert planned.rows == len(data_set.train)
    assert planned.steps == -(-len(data_set.train) // 8)  # half an epoch, four rows a step
    assert planned.cut_rows == 0
    assert planned.seconds == pytest.approx(
        planned.load_seconds + planned.train_seconds + planned.evaluation_seconds
    )


@pytest.mark.slow
def test_its_tokens_and_memory_are_those_of_the_run_and_its_time_of_that_order(
    recipe: Recipe, planned: Plan, tmp_path: Path
):
    run = train(recipe, tmp_path / "run", progress=Silent())
    assert len(run.losses) == planned.steps
    assert run.cost.tokens == pytest.approx(planned.tokens, rel=0.05)
    assert planned.peak_bytes == pytest.approx(run.cost.peak_bytes, rel=0.1)
    # Another process may take most of the machine meanwhile: a trend, with a margin.
    assert 0.1 < planned.train_seconds / run.cost.train_seconds < 10


def test_twenty_thousand_long_rows_are_planned_by_a_sample(
    tiny_model: Path, many: str, monkeypatch: pytest.MonkeyPatch
):
    encoded = []
    original = Encoder._encode

    def counting(self: Encoder, row: data.Row):
        encoded.append(row)
        return original(self, row)

    monkeypatch.setattr(Encoder, "_encode", counting)
    recipe = tiny_recipe(
        tiny_model, dataset=many, max_length=1024, steps=None, epochs=2, batch_size=8, eval_rows=4
    )
    found = plan(recipe)
    assert len(encoded) <= MOST_ENCODED + 2 * LONGEST + 8
    assert found.rows > 15_000  # a tenth is held out for each of the other splits
    assert found.longest_row > 1024
    assert found.dropped_rows == pytest.approx(found.rows / 2, rel=0.2)  # the prompt fills it
    assert found.steps == pytest.approx(2 * (found.rows - found.dropped_rows) / 8, abs=1)
    assert 850 < found.tokens / found.steps / 8 < 1024
    assert found.measured_tokens <= 2 * 2000  # two steps of fewer rows than eight
    assert found.seconds > 60
    by_fields = {tuple(change.fields): change for change in found.changes}
    assert by_fields["epochs",].seconds == pytest.approx(
        found.seconds - found.train_seconds / 2, rel=0.05
    )
    assert by_fields["train_rows",].seconds == pytest.approx(by_fields["epochs",].seconds, rel=0.05)
    assert found.peak_bytes
    for smaller in (by_fields["checkpointing",], by_fields["batch_size", "accumulation"]):
        assert smaller.peak_bytes
        assert smaller.peak_bytes < found.peak_bytes
    assert by_fields["batch_size", "accumulation"].seconds == pytest.approx(found.seconds, rel=0.05)
    table = str(found.changes_table())
    assert table.splitlines()[1].startswith("as it is")
    assert "half of the rows are never seen" in table
    assert "about 0 cut" in str(found.table())


RATES = Rates(2.0, 1e-3, 1e-4, 1e-2, 500, None, "fp32")
SAMPLE = Sample(100, 100, 0, (50, 150), 150, 30, 40, 20.0)


def test_the_times_add_up(tiny_model: Path):
    recipe = tiny_recipe(tiny_model, steps=10, batch_size=4, eval_rows=40, eval_tokens=30)
    steps, tokens, train_seconds, evaluation = _times(recipe, SAMPLE, RATES)
    assert (steps, tokens) == (10, 10 * 4 * 100)
    assert train_seconds == pytest.approx(4.0)
    answers = 40 * 20 * 1e-4 + 30 * 1e-2
    loss = 24 * 100 * 1e-3 / 2  # a frozen base: two products of four
    assert evaluation == pytest.approx(2 * answers + 2 * loss)
    often = recipe.but(eval_every=2)
    assert _times(often, SAMPLE, RATES)[3] == pytest.approx(2 * answers + 7 * loss)
    cut = recipe.but(max_length=50)
    assert _times(cut, SAMPLE, RATES)[1] == 10 * 4 * 50


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
):
    small = dataclasses.replace(hardware.detect(), device="cpu", device_memory_bytes=8 * 2**30)
    monkeypatch.setattr(hardware, "detect", lambda: small)
    recipe = Recipe.of(model="llama-2-7b", steps=10)
    with pytest.raises(
        LabError, match=r"^model: llama-2-7b by lora takes about .* 8\.00 GiB; take"
    ):
        plan(recipe)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_line_says_it_and_trains_nothing(
    planned: Plan, monkeypatch: pytest.MonkeyPatch, as_json: bool
):
    training = importlib.import_module("labs_lib.training")
    monkeypatch.setattr(training, "plan", lambda _recipe: planned)
    monkeypatch.setattr(training, "train", None)
    arguments = ["sea-captain", "--plan", *(["--json"] if as_json else [])]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    if as_json:
        values = json.loads(result.output)
        assert values["steps"] == planned.steps
        assert values["seconds"] == pytest.approx(planned.seconds)
        assert values["changes"][0]["fields"]
    else:
        assert "all together" in result.output
        assert "what it costs" in result.output


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.14, "3.1 s"), (45, "45 s"), (750, "12 min"), (12_600, "3.5 h")]
)
def test_a_duration_is_said_to_two_digits(seconds: float, words: str):
    assert in_words(seconds) == words
