"""What a CPU computes in bf16 by functions of the course's own: as exact, and less to keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_layout import batch, tiny
from test_training_session import tiny_recipe
from torch.nn.functional import scaled_dot_product_attention

from labs_lib.training.engine import adapted_gates, attention
from labs_lib.training.engine.adapted_maps import multiply_at_once
from labs_lib.training.engine.attention import SCORES_AT_ONCE, written_out
from labs_lib.training.engine.gates import recompute_gates
from labs_lib.training.engine.in_bf16 import compute_at_once, compute_in_steps
from labs_lib.training.engine.layout import WRITTEN_OUT, attend_by_rows, lay_out
from labs_lib.training.engine.loss_check import keep_if_near
from labs_lib.training.engine.measure import LiveBytes
from labs_lib.training.engine.norms import normalize_at_once

Change = Callable[[Any], None]
Gradients = dict[str, torch.Tensor]


def adapted(family: str, **config: Any) -> Any:
    """Return a small model in bf16 under an fp32 adapter that is no longer zero."""
    from peft import LoraConfig, get_peft_model

    model: Any = tiny(family).to(torch.bfloat16)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):  # ones would hide a norm's weight
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.manual_seed(1)
    config = {"target_modules": "all-linear", **config}
    model = get_peft_model(model, LoraConfig(r=2, **config))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    attend_by_rows(model)
    return model


def all_learn(family: str) -> Any:
    model = tiny(family)
    attend_by_rows(model)
    return model


def gradients(model: Any, autocast: bool = True) -> Gradients:
    """Return each trained parameter's gradient, in fp32, from rows packed end to end."""
    ids, mask, labels = batch()
    rows, targets = lay_out(model.config, ids, mask, labels)
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(**rows, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten()).backward()
    return {n: p.grad.float() for n, p in model.named_parameters() if p.requires_grad}


def off(found: Gradients, exact: Gradients) -> float:
    """Return the error of all gradients as a share of their length."""
    error = sum(float((found[name] - exact[name]).square().sum()) for name in exact)
    return (error / sum(float(each.square().sum()) for each in exact.values())) ** 0.5


def all_at_once(model: Any) -> None:
    """Change the model as the trainer does."""
    recompute_gates(model)
    compute_at_once(model)


@pytest.mark.parametrize(
    "change", [multiply_at_once, normalize_at_once, compute_at_once, all_at_once]
)
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_an_adapters_gradients_are_as_near_to_those_in_fp32(family: str, change: Change):
    exact = gradients(adapted(family).float(), autocast=False)
    own, model = off(gradients(adapted(family)), exact), adapted(family)
    change(model)
    assert 0.002 < own < 0.05
    assert off(gradients(model), exact) < 1.2 * own


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_full_gradients_are_as_near_to_those_in_fp32(family: str):
    exact = gradients(all_learn(family), autocast=False)
    own, model = gradients(all_learn(family)), all_learn(family)
    compute_at_once(model)
    ours = gradients(model)
    for part in ("norm", "proj", "embed"):  # those of the norms are small beside the others
        of_part = {name: gradient for name, gradient in exact.items() if part in name}
        assert 0.001 < off(own, of_part) < 0.05
        assert off(ours, of_part) < 1.2 * off(own, of_part)


@pytest.mark.parametrize("change", [multiply_at_once, all_at_once])
def test_dropout_falls_on_the_adapters_input_and_is_drawn_anew(change: Change):
    model = adapted("llama", lora_dropout=0.5)
    change(model)
    model.train()
    first = gradients(model)
    model.zero_grad()
    assert off(gradients(model), first) == 0, "the seed says what is dropped"
    whole = gradients(adapted("llama"))
    assert off(first, whole) > 0.1
    model.zero_grad()
    model.eval()
    assert off(gradients(model), whole) < 0.02


@pytest.mark.parametrize(
    ("config", "together"),
    [
        ({}, True),
        ({"target_modules": ["gate_proj", "up_proj", "down_proj"]}, True),
        ({"target_modules": ["up_proj", "down_proj"]}, False),
        ({"use_dora": True}, False),
    ],
)
def test_gate_up_and_down_are_one_function_where_each_has_plain_lora(
    config: dict[str, Any], together: bool, monkeypatch: pytest.MonkeyPatch
):
    fed: list[torch.Tensor] = []
    forward = adapted_gates._Fed.forward
    monkeypatch.setattr(
        adapted_gates._Fed, "forward", lambda ctx, x, *rest: fed.append(x) or forward(ctx, x, *rest)
    )
    model = adapted("llama", **config)
    all_at_once(model)
    exact = gradients(adapted("llama", **config).float(), autocast=False)
    assert off(gradients(model), exact) < 0.05
    assert bool(fed) == together


def test_a_step_keeps_less(monkeypatch: pytest.MonkeyPatch):
    # Beside heads four numbers wide the weights of attention are no small thing to keep.
    monkeypatch.setattr(attention, "KEPT_WEIGHTS_TOKENS", 0)
    kept = []
    for change in (recompute_gates, all_at_once):
        model = adapted("llama")
        change(model)
        ids, mask, labels = batch()
        rows, _ = lay_out(model.config, ids, mask, labels)
        with LiveBytes() as counter, torch.autocast("cpu", torch.bfloat16):
            loss = model(**rows, use_cache=False).logits.sum()
            kept.append(counter.live_bytes)
        del loss
    assert kept[1] < 0.7 * kept[0]


def test_what_is_changed_is_taken_back():
    model = adapted("llama")
    before = gradients(model)
    model.zero_grad()
    compute_at_once(model)
    assert model.config._attn_implementation == WRITTEN_OUT
    compute_in_steps(model)
    assert all(torch.equal(each, before[name]) for name, each in gradients(model).items())
    assert not any("forward" in vars(module) for module in model.modules() if module is not model)


@pytest.mark.parametrize("away", ["in fp32", "merged", "disabled"])
def test_elsewhere_the_layers_do_what_they_did(away: str):
    logits = []
    for change in (lambda _model: None, compute_at_once):
        model = adapted("llama")
        change(model)
        if away == "merged":
            model.merge_adapter()
        if away == "disabled":
            model.base_model.disable_adapter_layers()
        ids, mask, _ = batch()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=away == "merged"):
            logits.append(model(input_ids=ids, attention_mask=mask).logits.float())
    torch.testing.assert_close(*logits, rtol=0, atol=0.02 if away == "merged" else 0)


@pytest.mark.parametrize(("rows", "length"), [(1, 2), (3, 13), (4, 150)])
def test_attention_written_out_is_the_fused_kernels(rows: int, length: int):
    torch.manual_seed(0)
    if length == 150:
        assert 3 * length**2 * 2 * rows > SCORES_AT_ONCE > 3 * length**2, "heads take turns"
    shapes = [(rows, heads, length, 16) for heads in (6, 2, 2)]
    exact = [torch.randn(shape).bfloat16().float().requires_grad_() for shape in shapes]
    inputs = [each.detach().bfloat16().requires_grad_() for each in exact]
    outgoing = torch.randn(rows, length, 6, 16).bfloat16()
    fused: Any = partial(scaled_dot_product_attention, is_causal=True, enable_gqa=True, scale=0.5)
    ours = written_out(*inputs, scaling=0.5)
    theirs = fused(*exact).transpose(1, 2)
    near: dict[str, Any] = {"rtol": 0.05, "atol": 0.03}
    torch.testing.assert_close(ours.float(), theirs, **near)
    found = torch.autograd.grad(ours, inputs, outgoing)
    for one, other in zip(found, torch.autograd.grad(theirs, exact, outgoing.float()), strict=True):
        torch.testing.assert_close(one.float(), other, **near)


@pytest.mark.parametrize(("moved", "stays"), [(0.001, True), (3.0, False)])
def test_arithmetic_that_moves_the_loss_is_taken_back(moved: float, stays: bool):
    model, rounds = tiny("llama"), [0.0]
    ids, mask, labels = batch()
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def loss(*_given: Any) -> torch.Tensor:
        return torch.tensor(30.0 + rounds[-1])

    kept = keep_if_near(model, inputs, loss, lambda: rounds.append(moved), rounds.clear)
    assert (kept, rounds == []) == (stays, not stays)


@pytest.mark.parametrize(("precision", "at_once"), [("bf16", True), ("fp32", False)])
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_run_in_bf16_and_no_other_computes_at_once(
    method: str, precision: str, at_once: bool, tiny_model: Path, tmp_path: Path
) -> None:
    from labs_lib import data, hardware
    from labs_lib.training.engine.building import build_trainer

    recipe = tiny_recipe(tiny_model, steps=1, method=method, precision=precision)
    rows = data.load_set("sea-captain").train[: recipe.rows_per_step]
    model, _, _ = build_trainer(recipe, rows, (), hardware.detect(), precision, tmp_path)
    changed = [m for m in model.modules() if "forward" in vars(m) and hasattr(m, "lora_A")]
    assert bool(changed) == at_once
    assert (model.config._attn_implementation == WRITTEN_OUT) == at_once
