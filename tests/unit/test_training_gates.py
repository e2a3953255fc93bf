"""The gated feed-forward layer: the same bits, one large tensor less."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_training_layout import batch, loss_and_gradients, tiny

from labs_lib.training.engine.gates import recompute_gates
from labs_lib.training.engine.layout import next_labels
from labs_lib.training.engine.measure import LiveBytes


def with_gates_again(family: str) -> Any:
    model = tiny(family)
    recompute_gates(model)
    return model


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_loss_and_gradients_are_the_models_own_to_the_bit(family: str, checkpointing: bool):
    ids, mask, labels = batch()
    rows = {"input_ids": ids, "attention_mask": mask}
    model = with_gates_again(family)
    if checkpointing:
        model.gradient_checkpointing_enable()
    own = loss_and_gradients(tiny(family), rows, next_labels(labels))
    for one, other in zip(loss_and_gradients(model, rows, next_labels(labels)), own, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_each_layer_keeps_one_tensor_less():
    ids, mask, _ = batch()
    kept = []
    for model in (tiny("llama"), with_gates_again("llama")):
        with LiveBytes() as counter:
            loss = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.sum()
            kept.append(counter.live_bytes)
        del loss
    one = ids.numel() * model.config.intermediate_size * 4
    assert kept[0] - kept[1] == model.config.num_hidden_layers * one


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("of_base", [torch.float32, torch.bfloat16])
def test_lora_on_its_matrices_learns_the_same(of_base: torch.dtype, autocast: bool):
    """The adapter is in fp32 whatever the base is in, so gate and up could differ in dtype."""
    from peft import LoraConfig, get_peft_model

    ids, mask, labels = batch()
    gradients = []
    for change in (lambda _model: None, recompute_gates):
        model = tiny("llama").to(of_base)
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["gate_proj", "down_proj"]))
        change(model)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    assert gradients[0]
    for own, ours in zip(*gradients, strict=True):
        assert torch.equal(own, ours)


def own_forwards(model: Any) -> int:
    return sum("forward" in vars(module) for module in model.modules())


def test_another_activation_or_family_is_left_alone():
    assert own_forwards(with_gates_again("llama")) == 2
    other_family, other_activation = tiny("llama"), tiny("llama")
    other_family.config.model_type = "falcon"
    for layer in other_activation.model.layers:
        layer.mlp.act_fn = torch.nn.GELU()
    for model in (other_family, other_activation):
        recompute_gates(model)
        assert own_forwards(model) == 0
