"""Every PEFT method of the course by the same calls: trained, forecast, saved, loaded, merged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_making import logits
from test_training_session import tiny_recipe

from labs_lib import models
from labs_lib.errors import LabError
from labs_lib.memory import estimate
from labs_lib.step.adapters import Adapter
from labs_lib.step.methods import METHODS
from labs_lib.training import Run, load_adapter, merge, session, train
from labs_lib.training.adapter.merged import merged_from
from labs_lib.training.progress import Silent

# One worker trains them all, once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("every_method")]

EVERY = [name for name, how in METHODS.items() if how.adapter and not how.quantizes]


def adapter_of(name: str) -> Adapter:
    adapter = METHODS[name].adapter
    assert adapter is not None
    return adapter


# Method → learning rate, and the least that the held-out loss has to fall by. The tiny model is
# random: a factor for a number of its own, or a few vectors in front, can do little with that.
RATES = {
    "lora_plus": (1e-3, 0.2),
    "adalora": (5e-2, 0.1),
    "vera": (1e-1, 0.2),
    "oft": (3e-2, 0.15),
    "ia3": (1e-1, 0.08),
    "ln_tuning": (1e-1, 0.08),
    "prompt_tuning": (1e-1, 0.03),
    "prefix_tuning": (3e-1, 0.08),
}
OF_LORA = (1e-2, 0.2)
SIZES = {"oft": 16, "vera": 16, "prompt_tuning": 8, "prefix_tuning": 8}


@dataclass(frozen=True)
class Trained:
    """A finished run, and the logits of its model before it was saved."""

    run: Run
    logits: torch.Tensor


@pytest.fixture(scope="module", params=EVERY)
def trained(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Return a finished run of each method, in fp32."""
    seen: list[torch.Tensor] = []
    real = session.save_listing

    def remembering(model: Any, *rest: Any) -> list[str]:
        model.eval()
        seen.append(logits(model)[:, -5:])
        return real(model, *rest)

    recipe = tiny_recipe(
        tiny_model,
        method=request.param,
        rank=SIZES.get(request.param, 4),
        learning_rate=RATES.get(request.param, OF_LORA)[0],
        target_modules="all-linear",
        dropout=0.0,
        checkpoint_every=0,
        precision="fp32",
        steps=12,
        train_rows=48,
        eval_rows=1 if adapter_of(request.param).in_front else 0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "save_listing", remembering)
        run = train(recipe, tmp_path_factory.mktemp("every") / "run", progress=Silent())
    return Trained(run, seen[0])


@pytest.fixture(scope="module")
def base_loss(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return the held-out loss of the model without an adapter."""
    recipe = tiny_recipe(tiny_model, steps=1, checkpoint_every=0, precision="fp32", eval_rows=0)
    loss = train(recipe, tmp_path_factory.mktemp("base") / "run", progress=Silent()).before.loss
    assert loss is not None
    return loss


def test_it_learns(trained: Trained) -> None:
    run = trained.run
    assert run.before.loss is not None
    assert run.after.loss is not None
    assert run.after.loss < run.before.loss - RATES.get(run.recipe.method, OF_LORA)[1]
    assert run.without_gradient == ()


def test_the_base_is_asked_before_training_whatever_stands_in_front(
    trained: Trained, base_loss: float
) -> None:
    assert trained.run.before.loss == pytest.approx(base_loss, rel=1e-3)


def test_it_is_read_back_with_its_logits_and_merged_or_the_refusal_says_why(
    trained: Trained, tmp_path: Path
) -> None:
    run, adapter = trained.run, adapter_of(trained.run.recipe.method)
    base = models.load_model(run.recipe.model, dtype="fp32", device="cpu")
    model = load_adapter(base, run.output)
    assert _distance(logits(model)[:, -5:], trained.logits) < 1e-3
    if adapter.in_front:
        with pytest.raises(LabError, match="changes no weight, so there is nothing to merge"):
            merge(run.output, tmp_path / "merged")
        return
    assert _distance(logits(merged_from(model)), trained.logits) < 5e-3


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).square().mean().sqrt() / other.std()).item()


def test_its_trained_bytes_are_forecast_to_the_byte(trained: Trained) -> None:
    run = trained.run
    recipe = run.recipe
    request = recipe.step("fp32", device="cpu", seq_len=64, batch=2)
    forecast = estimate(request)
    assert forecast.trainable_parameters == run.trainable_parameters
    assert forecast.adapter_bytes == run.cost.memory["adapter_bytes"]
    assert forecast.gradients_bytes == run.cost.memory["gradients_bytes"]
    # LoRA-FA's optimizer counts its steps in a number, AdamW in a tensor for each parameter.
    states = run.cost.memory["optimizer_bytes"]
    assert forecast.optimizer_bytes == pytest.approx(states, rel=0.01)


def test_its_peak_is_forecast(trained: Trained) -> None:
    run = trained.run
    if adapter_of(run.recipe.method).saved is None:
        assert "no term for" in run.forecast["why_none"]
        return
    assert run.forecast["peak_bytes"] == pytest.approx(run.cost.peak_bytes, rel=0.05)


def test_its_file_fits_the_base_as_it_was(trained: Trained) -> None:
    from safetensors import safe_open

    run, adapter = trained.run, adapter_of(trained.run.recipe.method)
    with safe_open(run.output / "adapter_model.safetensors", "pt") as file:
        elements = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    if adapter.moves_base:  # the difference to its start is a LoRA adapter of twice the rank
        assert elements == 2 * run.trainable_parameters
    elif not adapter.frozen and not adapter.training.after_step and run.recipe.method != "vera":
        assert elements == run.trainable_parameters


def test_a_run_that_no_checkpoint_helps_is_not_gone_on_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("lora_fa", "adalora", "prompt_tuning"):
        recipe = tiny_recipe(tiny_model, method=name, steps=2)
        with pytest.raises(LabError, match=f"--resume: a run by {name} cannot be gone on from"):
            train(recipe, tmp_path / name, resume=True, progress=Silent())


def test_a_method_of_an_own_optimizer_takes_no_other(tiny_model: Path) -> None:
    with pytest.raises(LabError, match="optimizer: lora_plus brings an optimizer of its own"):
        tiny_recipe(tiny_model, method="lora_plus", optimizer="adafactor")


def test_ranks_that_changed_fit_no_earlier_weights(tiny_model: Path) -> None:
    with pytest.raises(LabError, match="stop_when_worse: adalora cannot go back"):
        tiny_recipe(tiny_model, method="adalora", eval_every=2, stop_when_worse=1)


@pytest.mark.parametrize("name", ["pissa", "olora"])
def test_a_start_from_the_weights_needs_weights(
    name: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from labs_lib.training.refusals import check_trainable

    stored = SimpleNamespace(config=SimpleNamespace(quantization_config={"bits": 4}))
    with pytest.raises(LabError, match=rf"method: {name}: the weights of .* are stored quantized"):
        check_trainable(stored, tiny_recipe(tiny_model, method=name))
    check_trainable(stored, tiny_recipe(tiny_model, method="dora"))


def test_lora_plus_steps_b_faster_than_a(tiny_model: Path) -> None:
    import peft

    from labs_lib.step.adapters import LORA_PLUS, AdapterSettings
    from labs_lib.step.adapters.lora import PLUS_RATIO

    base = models.load_model(tiny_model, dtype="fp32", device="cpu")
    model = peft.get_peft_model(base, LORA_PLUS.peft_config(AdapterSettings(4, 8), ["q_proj"]))
    build = LORA_PLUS.training.optimizer
    assert build is not None
    optimizer = build(model, torch.optim.AdamW, {"lr": 1e-3}, AdapterSettings(4, 8))
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            times = PLUS_RATIO if "lora_B" in names[parameter] else 1
            assert group["lr"] == pytest.approx(1e-3 * times)


def test_adalora_takes_ranks_away(tiny_model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_model, method="adalora", rank=4, steps=12, eval_rows=0)
    run = train(recipe, tmp_path / "run", progress=Silent())
    from labs_lib.training.adapter.config import read_config

    pattern = read_config(run.output)["rank_pattern"]
    kept = [sum(each) for each in pattern.values()]
    assert sum(kept) == 4 * len(kept)  # of 6 that each map began with
    assert len(set(kept)) > 1


@pytest.mark.parametrize("name", {METHODS[name].family: name for name in EVERY}.values())
def test_one_of_each_family_answers_in_bf16(name: str, tiny_model: Path, tmp_path: Path):
    recipe = tiny_recipe(
        tiny_model,
        method=name,
        rank=SIZES.get(name, 4),
        target_modules="all-linear",
        checkpoint_every=0,
        precision="bf16",
        steps=1,
        eval_rows=1,
    )
    run = train(recipe, tmp_path / "run", progress=Silent())
    assert len(run.after.answers) == 1


def test_trained_norms_in_a_bf16_base_are_loaded_and_merged(tiny_model: Path, tmp_path: Path):
    recipe = tiny_recipe(
        tiny_model, method="ln_tuning", precision="bf16", steps=2, eval_rows=0, checkpoint_every=0
    )
    adapter = train(recipe, tmp_path / "run", progress=Silent()).folder / "adapter"
    base, _ = models.load(str(tiny_model), dtype="bf16", device="cpu")
    wrapped = load_adapter(base, adapter)
    expected = logits(wrapped)
    merged = merged_from(wrapped)
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.bfloat16}
    assert (logits(merged) - expected).abs().max() < 0.02 * expected.abs().max()
