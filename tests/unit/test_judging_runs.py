"""Two finished runs: compared on the same rows alone, and asked what they forgot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_training_session import tiny_recipe

from labs_lib import models
from labs_lib.errors import LabError
from labs_lib.judging import baseline, compare_runs, compare_scores, forgetting, run_scores
from labs_lib.training import Run, train
from labs_lib.training import probe as probe_module
from labs_lib.training.progress import Silent

# One worker makes what the whole file reads.
pytestmark = pytest.mark.xdist_group("judging_runs")


@pytest.fixture(scope="module")
def own_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a set of one's own: colors, each said to be warm or cold."""
    folder = tmp_path_factory.mktemp("own") / "colors"
    folder.mkdir()
    colors = ["red", "blue", "orange", "green", "yellow", "gray"] * 2
    for split, shift in (("train", 0), ("validation", 12), ("test", 24)):
        rows = [
            {"prompt": f"{color} {shift + index}", "completion": ("warm", "cold")[index % 2]}
            for index, color in enumerate(colors)
        ]
        lines = "\n".join(map(json.dumps, rows))
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tiny_model: Path, own_set: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Return three runs: a short and a longer one, and one that answered fewer rows."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = tiny_recipe(tiny_model, dataset=str(own_set), steps=1, eval_rows=12, name="short")
    longer = recipe.but(steps=3, name="longer")
    recipes = [recipe, longer, recipe.but(eval_rows=6, name="fewer")]
    return [train(each, folder / each.name, progress=Silent()) for each in recipes]


@pytest.mark.seconds
def test_two_runs_are_compared_by_the_set_s_metric(runs: list[Run]):
    short, longer, _ = runs
    found = compare_runs(short, longer)
    assert found.one.metric == "label"
    assert len(found.one.values) == 12
    assert found.interval.holds(found.difference)
    assert not found.beyond_noise  # a random model of two layers knows no label
    assert "do not tell short and longer apart" in found.finding
    assert compare_runs(short, longer, metric="exact").one.metric == "exact"


@pytest.mark.seconds
def test_runs_that_answered_other_rows_are_refused(runs: list[Run]):
    short, _, fewer = runs
    with pytest.raises(
        LabError, match=r"short \(12 rows\) and fewer \(6 rows\) answered different"
    ):
        compare_runs(short, fewer)


def test_a_baseline_and_a_run_are_of_the_same_rows(runs: list[Run], tiny_model: Path):
    from labs_lib import data

    model, tokenizer = models.load(str(tiny_model))
    data_set = data.resolve(runs[0].recipe.dataset)
    base = baseline(model, tokenizer, data_set, rows=12, max_new_tokens=4)
    assert base.answers == runs[0].before.answers  # the base model, asked twice
    assert compare_scores(base, run_scores(runs[0])).only_one == 0
    assert run_scores(runs[0], when="before").values == base.values
    with pytest.raises(LabError, match="when: 'befor' is not one of"):
        run_scores(runs[0], when="befor")


def test_a_run_whose_rows_changed_since_is_refused(runs: list[Run], own_set: Path):
    file = own_set / "train.jsonl"
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(text.replace("warm", "hot"), encoding="utf-8")
        with pytest.raises(LabError, match="short was trained on other rows"):
            run_scores(runs[0])
    finally:
        file.write_text(text, encoding="utf-8")
    assert run_scores(runs[0]).values


def test_a_run_that_answered_nothing_has_no_scores(tiny_model: Path, tmp_path: Path):
    recipe = tiny_recipe(tiny_model, steps=1, eval_rows=0)
    with pytest.raises(LabError, match="answered no held-out row"):
        run_scores(train(recipe, tmp_path / "run", progress=Silent()))


def test_forgetting_puts_facts_and_text_loss_side_by_side(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
):
    found = forgetting(runs[1], questions=3)
    assert len(found.facts_before) == len(found.facts_after) == 3
    assert found.text_loss_before > 0
    assert found.text_loss_change != 0
    assert found.lost <= sum(found.facts_before)
    table = str(found.table())
    assert "loss on plain text" in table
    assert f"{found.text_loss_after:.3f}" in table
    monkeypatch.setattr(probe_module, "load_run", None)  # a second call asks nothing again
    assert forgetting(runs[1], questions=3) == found
    with pytest.raises(LabError, match="questions: 0"):
        forgetting(runs[1], questions=0)
