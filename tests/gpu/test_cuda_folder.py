"""A run on the card goes on from its checkpoint; what it wrote is read there and elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from card_trials import recipe_of
from transformers import TrainerCallback

from labs_lib import models
from labs_lib.export import export_gguf, export_merged
from labs_lib.training import Run, answer, load_adapter, train
from labs_lib.training.engine import trainer as trainers
from labs_lib.training.progress import Silent

QUESTION = ["What is the capital of Hungary?"]


class KilledError(Exception):
    """What stands for a kill."""


class Kill(TrainerCallback):
    def on_step_end(self, _args: object, state: object, *_: object, **__: object) -> None:
        if getattr(state, "global_step", 0) == 6:
            raise KilledError


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_killed_run_goes_on(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = recipe_of(method, 8, checkpoint_every=4)
    whole = train(recipe, tmp_path / "whole", progress=Silent())
    with monkeypatch.context() as patch:
        made = trainers.MeasuringTrainer.__init__

        def with_kill(self: trainers.MeasuringTrainer, **kwargs: object) -> None:
            made(self, **kwargs)  # pyright: ignore[reportArgumentType]
            self.add_callback(Kill())

        patch.setattr(trainers.MeasuringTrainer, "__init__", with_kill)
        with pytest.raises(KilledError):
            train(recipe, tmp_path / "killed", progress=Silent())
    resumed = train(recipe, tmp_path / "killed", resume=True, progress=Silent())
    assert len(resumed.losses) == 8
    # The card adds up in an order of its own, so the losses are near and need not be equal.
    assert resumed.losses == pytest.approx(whole.losses, rel=0.02)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(recipe_of("lora", 12), tmp_path_factory.mktemp("run") / "run", progress=Silent())


def test_its_adapter_answers_on_both_devices(run: Run):
    answers = []
    for device in ("cuda", "cpu"):
        model, tokenizer = models.load(dtype="fp32", device=device)
        answers += answer(load_adapter(model, run.output), tokenizer, QUESTION, 16)
    assert answers[0].split()[:3] == answers[1].split()[:3]


def test_it_is_exported_from_the_card(run: Run, tmp_path: Path):
    merged = export_merged(run.folder, tmp_path / "merged")
    assert export_gguf(run.folder, tmp_path / "gguf", type="f16").is_file()
    model, tokenizer = models.load(str(merged))
    assert model.device == torch.device("cuda", torch.cuda.current_device())
    assert answer(model, tokenizer, QUESTION, 16)[0]
