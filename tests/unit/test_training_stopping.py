"""Early stopping: a run that overfits ends, keeps its best weights and can be resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from test_training_session import output_bytes, tiny_recipe
from typing_extensions import override

from labs_lib.errors import LabError
from labs_lib.training import Recipe, Run, ValidationCurve, draw_losses, train
from labs_lib.training.progress import Silent

# One worker makes what the whole file reads.
pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("training_stopping")]


WORDS = {
    "train": "red blue green black white pink gray brown",
    "validation": "seven nine",
    "test": "two",
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a data set of eight rows, whose words the validation rows do not share."""
    folder = tmp_path_factory.mktemp("words") / "set"
    folder.mkdir()
    for split, listed in WORDS.items():
        rows = [
            {"prompt": f"Say {word}", "completion": f"{word} {word}"} for word in listed.split()
        ]
        lines = "\n".join(map(json.dumps, rows))
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def overfitting(model: Path, words: str, **changes: Any) -> Recipe:
    """Return a recipe that learns eight rows by heart."""
    fields: dict[str, Any] = {
        "dataset": words,
        "steps": 200,
        "eval_rows": 1,
        "eval_tokens": 2,
        "schedule": "constant",
        "checkpoint_every": 6,
        "eval_every": 4,
        "stop_when_worse": 2,
    }
    return tiny_recipe(model, **fields | changes)


def curve_of(run: Run) -> ValidationCurve:
    """Return the validation losses of a run that has some."""
    assert run.validation_curve is not None
    return run.validation_curve


class DiesAfter(Silent):
    """A progress view in which the process dies after a step."""

    def __init__(self, step: int):
        self._last = step

    @override
    def step(self, done: int, total: int, loss: float) -> None:
        """Die, if this was the step."""
        if done == self._last:
            raise KeyboardInterrupt


class DiesAnswering(Silent):
    """A progress view in which the process dies when training is over."""

    def stage(self, text: str) -> None:
        """Die, if this is what follows training."""
        if text.endswith("after training"):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped(tiny_model: Path, words: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run that ended early."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    return train(overfitting(tiny_model, words), folder, progress=Silent())


def test_a_run_that_overfits_ends_early_and_its_adapter_is_the_best_ones(stopped: Run):
    curve = curve_of(stopped)
    losses = dict(curve.losses)
    taken = len(stopped.losses)
    assert taken < 200
    assert list(losses) == list(range(4, taken + 1, 4))
    assert curve.kept_step == curve.best_step == min(losses, key=losses.__getitem__)
    assert taken == curve.best_step + 2 * 4
    assert all(losses[step] > losses[curve.best_step] for step in (taken - 4, taken))
    # The loss after training is that of the saved weights, to the last bit.
    assert stopped.after.loss == losses[curve.best_step]
    assert stopped.losses[-1] < stopped.losses[0]


def test_the_saved_adapter_has_the_best_loss_when_it_is_loaded(stopped: Run):
    from labs_lib import data
    from labs_lib.training import load_run
    from labs_lib.training.encoding import Encoder

    model, tokenizer = load_run(stopped)
    encoder = Encoder(tokenizer, stopped.recipe.max_length)
    import torch

    total, count = 0.0, 0
    for row in data.resolve(stopped.recipe.dataset).validation:
        encoded = encoder.encode(row)
        labels = torch.tensor([encoded.labels])
        learned = int((labels[:, 1:] != -100).sum())
        loss = model(input_ids=torch.tensor([encoded.input_ids]), labels=labels).loss
        total, count = total + loss.item() * learned, count + learned
    losses = dict(curve_of(stopped).losses)
    found = total / count
    assert min(losses, key=lambda step: abs(losses[step] - found)) == curve_of(stopped).best_step
    assert found == pytest.approx(losses[curve_of(stopped).best_step], rel=1e-3)


def test_the_run_says_at_which_step_it_ended_and_why(stopped: Run):
    values = json.loads((stopped.folder / "run.json").read_text(encoding="utf-8"))
    curve = curve_of(stopped)
    said = values["validation_curve"]
    assert said["kept_step"] == curve.best_step
    assert f"stopped after step {len(stopped.losses)} of 200" in said["stopped"]
    assert f"of step {curve.best_step}" in said["stopped"]
    assert Run.load(stopped.folder) == stopped
    assert (
        f"saved: the weights of step {curve.best_step}" in dict(stopped.table())["validation loss"]
    )
    assert stopped.cost.peak_bytes > 0  # measured on a step that was sure to be taken
    assert "held-out loss" in draw_losses(stopped).alt


def test_nothing_of_it_is_left_in_the_folder(stopped: Run):
    assert not list(stopped.folder.rglob("*best*"))
    assert not (stopped.folder / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize("dies", [DiesAfter(11), DiesAnswering()], ids=["after best", "at end"])
def test_killed_and_resumed_it_ends_with_the_same_adapter(
    stopped: Run, tmp_path: Path, dies: Silent
):
    recipe = stopped.recipe.but(checkpoint_every=4)  # one would be due where the run stops
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", progress=dies)
    again = train(recipe, tmp_path / "run", resume=True, progress=Silent())
    assert again.validation_curve == stopped.validation_curve
    assert again.losses == stopped.losses
    assert output_bytes(again.folder) == output_bytes(stopped.folder)


def test_a_resumed_run_refuses_best_weights_that_are_not_as_they_were_written(
    stopped: Run, tmp_path: Path
):
    with pytest.raises(KeyboardInterrupt):
        train(stopped.recipe, tmp_path / "run", progress=DiesAfter(15))
    (best,) = (tmp_path / "run" / "checkpoints").glob("best-8*")
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    best.write_bytes(content)
    with pytest.raises(LabError, match=r"--resume: checkpoint-12 .*best-8.* not as it was written"):
        train(stopped.recipe, tmp_path / "run", resume=True, progress=Silent())
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "checkpoint-12")
    again = train(stopped.recipe, tmp_path / "run", resume=True, progress=Silent())
    assert output_bytes(again.folder) == output_bytes(stopped.folder)


def test_looking_on_the_way_changes_nothing(tiny_model: Path, words: str, tmp_path: Path):
    """With dropout too: an evaluation takes nothing from the random numbers of training."""
    recipe = overfitting(tiny_model, words, steps=6, stop_when_worse=0)
    looked = train(recipe, tmp_path / "looked", progress=Silent())
    blind = train(recipe.but(eval_every=0), tmp_path / "blind", progress=Silent())
    assert output_bytes(looked.folder) == output_bytes(blind.folder)
    assert looked.losses == blind.losses
    assert blind.validation_curve is None
    curve = curve_of(looked)
    assert [step for step, _ in curve.losses] == [4, 6]
    assert (curve.kept_step, curve.stopped) == (6, "")
    assert looked.after.loss == curve.losses[-1][1]


def test_a_run_that_takes_all_its_steps_keeps_the_best_all_the_same(
    tiny_model: Path, words: str, tmp_path: Path
):
    recipe = overfitting(tiny_model, words, steps=14, stop_when_worse=50)
    run = train(recipe, tmp_path / "run", progress=Silent())
    curve = curve_of(run)
    assert len(run.losses) == 14
    assert curve.stopped == ""
    assert curve.kept_step == curve.best_step < 14
    assert run.after.loss == dict(curve.losses)[curve.best_step]


def test_a_whole_model_is_kept_and_put_back_too(tiny_model: Path, words: str, tmp_path: Path):
    recipe = overfitting(
        tiny_model, words, method="full", learning_rate=1e-2, checkpoint_every=0, stop_when_worse=1
    )
    run = train(recipe, tmp_path / "run", progress=Silent())
    curve = curve_of(run)
    assert curve.stopped
    assert run.after.loss == dict(curve.losses)[curve.best_step]
    (weights,) = run.output.glob("*.safetensors")
    assert load_file(weights)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eval_every": 0}, "stop_when_worse counts validation losses: give eval_every"),
        ({"eval_every": -1}, "^recipe: eval_every: -1 is not legal"),
        ({"stop_when_worse": 1.5}, "^recipe: stop_when_worse: 1.5 is not legal"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(tiny_model: Path, changes, message):
    with pytest.raises(LabError, match=message):
        overfitting(tiny_model, "sea-captain", **changes)


def test_a_set_without_validation_rows_is_refused(tiny_model: Path, tmp_path: Path):
    rows = [{"prompt": f"Say {i}", "completion": f"{i}"} for i in range(4)]
    (tmp_path / "set").mkdir()
    for split, long in (("train", ""), ("validation", "on and on " * 90), ("test", "")):
        lines = "\n".join(
            json.dumps({**row, "prompt": row["prompt"] + split + long}) for row in rows
        )
        (tmp_path / "set" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    recipe = overfitting(tiny_model, str(tmp_path / "set"))
    with pytest.raises(
        LabError, match=r"^eval_every: .* no validation row that fits max_length 256"
    ):
        train(recipe, tmp_path / "run", progress=Silent())
