"""Methods beyond LoRA and QLoRA: trained, saved, read back and compared by their names alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_training_session import tiny_recipe
from typing_extensions import override

from labs_lib import cli
from labs_lib.memory import estimate
from labs_lib.step import adapters
from labs_lib.step.adapters import Adapter, AdapterSettings, Linear
from labs_lib.step.methods import METHODS, Method
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.training import Run, load_run, train
from labs_lib.training.progress import Silent

# One worker trains them all, once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("methods")]

# Method → learning rate, and by how much the held-out loss has to fall: the tiny model is random,
# and a factor for each of its numbers can do little with that.
NEW = {"ia3": (5e-2, 0.1), "dora": (1e-2, 0.5)}


@pytest.fixture(scope="module", params=NEW)
def run(request, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a finished run of each method."""
    recipe = tiny_recipe(
        tiny_model,
        method=request.param,
        learning_rate=NEW[request.param][0],
        dropout=0.0,
        target_modules="all-linear",
        checkpoint_every=0,
    )
    return train(recipe, tmp_path_factory.mktemp("methods") / "run", progress=Silent())


def test_it_learns(run: Run) -> None:
    assert run.before.loss is not None
    assert run.after.loss is not None
    assert run.after.loss < run.before.loss - NEW[run.recipe.method][1]
    assert run.without_gradient == ()


def test_only_its_adapter_is_trained_and_saved(run: Run) -> None:
    from safetensors import safe_open

    adapter = run.recipe.adapter
    assert adapter is not None
    with safe_open(run.output / "adapter_model.safetensors", "pt") as file:
        assert all(f".{adapter.prefix}" in name for name in file.keys())  # noqa: SIM118
        elements = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert elements == run.trainable_parameters
    assert run.cost.memory["adapter_bytes"] == 4 * elements == run.forecast["adapter_bytes"]


def test_it_is_read_back_with_every_tensor_and_answers_as_the_base_does_not(run: Run) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    tuned, tokenizer = load_run(run)
    base, _ = load_run(run, tuned=False)
    saved = load_file(run.output / "adapter_model.safetensors")
    read = get_peft_model_state_dict(tuned)
    assert read.keys() == saved.keys()
    assert all(torch.equal(read[name].float(), saved[name].float()) for name in saved)
    ids = tokenizer("What is the capital of France?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert not torch.allclose(tuned(ids).logits, base(ids).logits, atol=1e-2)


class StopAfter(Silent):
    """Interrupts the run after so many steps."""

    def __init__(self, steps: int):
        self._steps = steps

    @override
    def step(self, done: int, total: int, loss: float) -> None:
        if done == self._steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "optimizer", [name for name, each in OPTIMIZERS.items() if each.optim and not each.paged]
)
def test_a_run_with_any_optimizer_goes_on_where_it_stopped(
    optimizer: str, tiny_model: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        tiny_model, optimizer=optimizer, rank=64, steps=4, checkpoint_every=2, eval_rows=0
    )
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", progress=StopAfter(3))
    resumed = train(recipe, tmp_path / "stopped", resume=True, progress=Silent())
    whole = train(recipe, tmp_path / "whole", progress=Silent())
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-4)
    assert whole.cost.memory["optimizer_bytes"] == whole.forecast["optimizer_bytes"]


def test_an_entry_of_the_tables_is_forecast_and_trained(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HRA, a method that the course does not have: an adapter, a name, nothing else."""

    def config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> Any:
        from peft import HRAConfig

        return HRAConfig(r=settings.rank, target_modules=targets, task_type=common["task_type"])

    def tensors(linear: Linear, rank: int) -> list[tuple[int, ...]]:
        return [(linear.in_features, rank)]

    hra = Adapter("HRA", "hra_", config, tensors)
    monkeypatch.setattr(adapters, "ADAPTERS", [*adapters.ADAPTERS, hra])
    monkeypatch.setitem(METHODS, "hra", Method("HRA", hra))

    recipe = tiny_recipe(tiny_model, method="hra", steps=2, checkpoint_every=0)
    run = train(recipe, tmp_path / "run", progress=Silent())
    forecast = estimate(recipe.step("fp32", device="cpu", seq_len=32))
    assert forecast.source in ("fitted", "trace")
    assert forecast.trainable_parameters == run.trainable_parameters
    assert (
        forecast.adapter_bytes == run.cost.memory["adapter_bytes"] == 4 * run.trainable_parameters
    )
    assert "no term for HRA" in run.forecast["why_none"]


def test_the_command_line_trains_and_compares_by_name(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = tiny_recipe(
        tiny_model, steps=2, dropout=0.0, checkpoint_every=0, eval_rows=1
    ).model_dump()
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(fields), encoding="utf-8")
    out = str(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", str(file), "--set", "method=ia3", "--out", out, "--json"])
    assert ended.value.code == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["recipe"]["method"] == "ia3"
    assert trained["forecast"]["peak_bytes"] > 0

    where = ("--out", str(tmp_path / "compare"))
    words = ["compare", str(file), "--methods", "lora,ia3", "--probe-rows", "1", *where, "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 0
    arms = {arm["method"]: arm for arm in json.loads(capsys.readouterr().out)["arms"]}
    assert set(arms) == {"lora", "ia3"}
    assert arms["ia3"]["trainable_parameters"] < arms["lora"]["trainable_parameters"]
    share = arms["ia3"]["learning_rate"] / arms["lora"]["learning_rate"]
    assert share == pytest.approx(METHODS["ia3"].rate_share)
