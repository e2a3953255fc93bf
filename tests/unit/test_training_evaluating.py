"""A model that was asked something trains on as if it had not been: on every kind of CPU."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

from labs_lib import models
from labs_lib import quantization as quant
from labs_lib.errors import LabError
from labs_lib.training import Recipe, Run, answer, assert_learned, train
from labs_lib.training.engine.evaluating import evaluating
from labs_lib.training.learning import without_gradient
from labs_lib.training.progress import Silent

BASES = [
    *({"quantization": quant_type, "double_quantization": double}
      for quant_type, double in itertools.product(("nf4", "fp4"), (True, False))),
    {"method": "lora", "precision": "fp32"},
    {"method": "lora", "precision": "bf16"},
]  # fmt: skip
PROMPTS = ["Who wrote Hamlet?", "What is the capital of Hungary?"]


@pytest.fixture(params=[True, False], ids=["repacks", "does not repack"])
def cpu_repacks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let bitsandbytes take this CPU for one that has AVX512-BF16, and for one that has not."""
    import bitsandbytes

    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: request.param)
    return request.param


def adapted(folder: Path, **fields: Any) -> tuple[Any, Any]:
    """Return a tiny model with an adapter whose B is not zero, and its tokenizer."""
    recipe = Recipe.of(**{"method": "qlora", "steps": 1, "precision": "fp32"} | fields)
    quantization = (
        quant.qlora_config(recipe.quantization, recipe.double_quantization, "fp32")
        if recipe.method == "qlora"
        else None
    )
    model, tokenizer = models.load(str(folder), dtype=recipe.precision, quantization=quantization)
    if quantization:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    torch.manual_seed(0)
    config = LoraConfig(target_modules="all-linear", lora_dropout=0.1, init_lora_weights=False)
    return get_peft_model(model, config).train(), tokenizer


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Return every gradient of one step on fixed tokens, dropout seeded."""
    model.zero_grad()
    torch.manual_seed(1)
    ids = torch.arange(24).reshape(2, 12) + 100
    model(input_ids=ids, labels=ids).loss.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    assert len(found) == 2 * 2 * 7, "a matrix of the adapter got no gradient"
    assert all(gradient.abs().sum() > 0 for gradient in found.values())
    return found


def force(model: Any, repacks: bool) -> None:
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = repacks


@pytest.mark.parametrize("fields", BASES, ids=str)
def test_a_gradient_after_an_evaluation_equals_the_one_before(
    tiny_model: Path, fields: dict[str, Any], cpu_repacks: bool
) -> None:
    model, tokenizer = adapted(tiny_model, **fields)
    force(model, cpu_repacks)
    before = gradients(model)
    answer(model, tokenizer, PROMPTS, max_new_tokens=3)
    with evaluating(model), torch.no_grad():
        model(input_ids=torch.arange(8)[None])
    after = gradients(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
def test_so_does_one_after_the_libraries_own_calls(
    tiny_model: Path, quant_type: str, cpu_repacks: bool
) -> None:
    model, tokenizer = adapted(tiny_model, quantization=quant_type)
    force(model, cpu_repacks)
    before = gradients(model)
    model.eval()
    tokens = tokenizer(PROMPTS[0], return_tensors="pt")
    model.generate(**tokens, max_new_tokens=3, do_sample=False)
    with torch.inference_mode():
        model(**tokens)
    assert quant.repacked_layers(model) == []
    after = gradients(model.train())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_layer_made_before_the_course_came_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    flag = "support_avx512bf16_for_cpu"
    if flag in vars(Linear4bit):
        monkeypatch.delattr(Linear4bit, flag)  # as bitsandbytes comes
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    layer = Linear4bit(64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32).to("cpu")
    assert layer.support_avx512bf16_for_cpu is True
    quant.forbid_repacking()
    quant.forbid_repacking()
    assert layer.support_avx512bf16_for_cpu is False
    with torch.no_grad():
        layer.eval()(torch.ones(1, 64))
    assert quant.repacked_layers(layer) == []


def test_what_an_evaluation_changes_is_put_back(tiny_model: Path) -> None:
    model, _ = adapted(tiny_model)
    model.gradient_checkpointing_enable()
    model.base_model.model.model.norm.eval()  # a module in another mode than the rest
    modes = {name: module.training for name, module in model.named_modules()}

    def fail_while_evaluating() -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail_while_evaluating()
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert model.is_gradient_checkpointing
    assert not any("forward" in vars(m) for m in model.modules() if hasattr(m, "compute_dtype"))


def test_a_model_repacked_elsewhere_is_refused(tiny_model: Path) -> None:
    from bitsandbytes.functional import _convert_weight_packed_for_cpu

    model, tokenizer = adapted(tiny_model)
    weight = model.base_model.model.model.layers[0].mlp.up_proj.base_layer.weight
    weight.data, _ = _convert_weight_packed_for_cpu(weight.data, weight.quant_state)
    for use in (lambda: answer(model, tokenizer, PROMPTS), lambda: quant.refuse_repacked(model)):
        with pytest.raises(LabError, match=r"repacked 1 of its 4-bit weights .*load the model"):
            use()


def test_the_courses_own_4_bit_layers_answer_as_they_are() -> None:
    layer = quant.Linear4bit.from_linear(torch.nn.Linear(64, 32))
    x = torch.randn(2, 64)
    expected = layer(x)
    with quant.restored_weights(layer) as count:
        assert count == 0
        assert torch.equal(layer(x), expected)


def test_a_block_within_a_block_restores_nothing_twice(tiny_model: Path) -> None:
    model, _ = adapted(tiny_model)
    with quant.restored_weights(model) as outer, quant.restored_weights(model) as inner:
        assert (outer, inner) == (14, 0)
        assert "forward" in vars(model.base_model.model.model.layers[0].mlp.up_proj.base_layer)


def test_a_tensor_that_no_gradient_reaches_is_named(tiny_model: Path, tmp_path: Path) -> None:
    model, _ = adapted(tiny_model, method="lora")
    gradients(model)
    assert without_gradient(model) == []
    parts = dict(model.named_parameters())
    b, a = (next(name for name in parts if factor in name) for factor in ("lora_B", "lora_A"))
    parts[b].grad.zero_()
    parts[a].grad.zero_()  # as in the first step, when B is zero
    assert without_gradient(model) == [b]
    parts[a].grad = None
    assert sorted(without_gradient(model)) == [a, b]


@pytest.mark.seconds
def test_only_a_run_that_learned_passes(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe.of(
        model=str(tiny_model), steps=16, learning_rate=2e-2, rank=8, target_modules="all-linear",
        batch_size=4, eval_rows=0,
    )  # fmt: skip
    run = train(recipe, tmp_path / "run", progress=Silent())
    assert run.without_gradient == () == Run.load(run.folder).without_gradient
    assert_learned(run, share=0.999)
    assert "a gradient reached every trained tensor" in capsys.readouterr().out
    with pytest.raises(AssertionError, match=r"went from \d+\.\d+ to \d+\.\d+ only"):
        assert_learned(run, share=0.01)
    cut_off = dataclasses.replace(run, without_gradient=("x.lora_B", "y.lora_B"))
    with pytest.raises(AssertionError, match=r"no gradient reached 2 trained tensors, first x"):
        assert_learned(cut_off, share=0.999)
    assert ("not trained", "2 tensors, no gradient: x.lora_B, …") in cut_off.table()
