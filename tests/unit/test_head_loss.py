"""The loss at the answers' tokens: the numbers of plain cross-entropy, in less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from labs_lib.training.engine.head_loss import POSITIONS_AT_ONCE, plain_head, summed_loss
from labs_lib.training.engine.measure import LiveBytes

WIDTH, VOCABULARY = 16, 300


def case(positions: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(positions)
    hidden = 3 * torch.randn(positions, WIDTH, generator=generator)
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator)
    return hidden, weight, torch.randint(VOCABULARY, (positions,), generator=generator)


@pytest.mark.parametrize("positions", [0, 1, POSITIONS_AT_ONCE, 2 * POSITIONS_AT_ONCE + 5])
@pytest.mark.parametrize("weight_learns", [False, True])
def test_value_and_gradients_are_cross_entropys(positions: int, weight_learns: bool):
    hidden, weight, labels = case(positions)
    results = []
    for loss_of in (
        summed_loss,
        lambda h, w, y: nn.functional.cross_entropy(h @ w.T, y, reduction="sum"),
    ):
        h = hidden.clone().requires_grad_()
        w = weight.clone().requires_grad_(weight_learns)
        loss = loss_of(h, w, labels) / 7
        loss.backward()
        results.append((loss.detach(), h.grad, w.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_bf16_keeps_its_dtype_and_stays_near():
    hidden, weight, labels = case(40)
    h = hidden.bfloat16().requires_grad_()
    loss = summed_loss(h, weight.bfloat16(), labels)
    loss.backward()
    expected = nn.functional.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=0)
    assert h.grad is not None
    assert h.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("of_hidden", [torch.float32, torch.bfloat16])
def test_under_autocast_weights_in_fp32_get_gradients_in_fp32(of_hidden: torch.dtype):
    """As full fine-tuning in mixed precision has it: fp32 weights, products in bf16."""
    hidden, weight, labels = case(40)
    h, w = hidden.requires_grad_(), weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed_loss(h.to(of_hidden), w, labels)
    loss.backward()
    expected = torch.autograd.grad(
        nn.functional.cross_entropy(hidden @ weight.T, labels, reduction="sum"), (hidden, weight)
    )
    for found, exact in zip((h.grad, w.grad), expected, strict=True):
        assert found is not None
        assert found.dtype == torch.float32
        assert (found - exact).norm() < 0.02 * exact.norm()


def test_logits_in_fp32_are_nearer_and_need_no_copy_of_the_weight():
    hidden, weight, labels = case(40)
    hidden, weight = hidden.repeat(1, 30).bfloat16(), weight.repeat(1, 30) / 30
    same = hidden.float().requires_grad_()
    expected = nn.functional.cross_entropy(
        same @ weight.bfloat16().float().T, labels, reduction="sum"
    )
    (exact,) = torch.autograd.grad(expected, same)
    off, peaks = [], []
    for in_fp32 in (False, True):
        h = hidden.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16), LiveBytes() as counter:
            loss = summed_loss(h, weight, labels, logits_in_fp32=in_fp32)
        loss.backward()
        assert h.grad is not None
        assert h.grad.dtype == torch.bfloat16
        off.append(float((h.grad.float() - exact).norm()))
        peaks.append(counter.peak_bytes)
    assert off[1] < 0.8 * off[0]
    assert peaks[0] - peaks[1] > 0.9 * 2 * weight.numel() - hidden.numel() * 4


def test_without_gradients_there_is_only_a_value():
    hidden, weight, labels = case(10)
    loss = summed_loss(hidden, weight, labels)
    assert not loss.requires_grad


def test_no_more_logits_than_one_part_exist_at_once():
    hidden, weight, labels = case(8 * POSITIONS_AT_ONCE)
    hidden.requires_grad_()
    with LiveBytes() as counter:
        summed_loss(hidden, weight, labels).backward()
    part = POSITIONS_AT_ONCE * VOCABULARY * 4
    assert counter.peak_bytes < 1.6 * part


def test_the_weights_gradient_exists_once():
    hidden, weight, labels = case(2 * POSITIONS_AT_ONCE)
    hidden, weight = hidden.repeat(1, 8), weight.repeat(1, 8).requires_grad_()
    with LiveBytes() as counter:
        summed_loss(hidden, weight, labels).backward()
    part = POSITIONS_AT_ONCE * VOCABULARY * 4
    assert counter.peak_bytes < 1.25 * (part + weight.numel() * 4)


def test_a_head_that_is_not_plain_is_left_to_the_model():
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    shape: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    llama = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, vocab_size=32, **shape))
    found = plain_head(llama)
    assert found == (llama.model, llama.lm_head)
    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=32))
    assert plain_head(gpt2) == (gpt2.transformer, gpt2.lm_head)

    adapted = get_peft_model(llama, LoraConfig(r=2, target_modules=["q_proj"]))
    assert plain_head(adapted) == plain_head(llama) == (llama.model, llama.lm_head)
    another = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, vocab_size=32, **shape))
    on_head = get_peft_model(another, LoraConfig(r=2, target_modules=["lm_head"]))
    assert plain_head(on_head) is None

    capped = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, vocab_size=32, **shape))
    capped.config.final_logit_softcapping = 30.0  # as Gemma 2's has it
    assert plain_head(capped) is None
