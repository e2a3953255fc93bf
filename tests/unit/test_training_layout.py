"""Rows packed behind their common beginning, or without a mask: the same training, less work."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from labs_lib.training.layout import (
    NOT_LEARNT,
    is_less_work,
    lay_out,
    next_labels,
    packed,
    takes_packed_rows,
)

SHARED, LENGTH = 5, 14
SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 64,
}


def batch(rows: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return rows that share five tokens, of three lengths, each with its last four learnt."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 64, (rows, LENGTH), generator=generator)
    ids[:, :SHARED] = ids[0, :SHARED]
    ids[:, SHARED] = torch.arange(1, rows + 1)  # where they part
    mask, labels = torch.ones_like(ids), torch.full_like(ids, NOT_LEARNT)
    for row in range(rows):
        end = LENGTH - 2 * row
        labels[row, end - 4 : end] = ids[row, end - 4 : end]
        mask[row, end:] = 0
    return ids, mask, labels


def tiny(family: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPE))


def loss_and_gradients(model: Any, rows: dict[str, Any], targets: torch.Tensor) -> list[Any]:
    model.zero_grad()
    logits = model(**rows, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return [loss.detach(), *(each.grad.clone() for each in model.parameters())]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_loss_and_gradients_are_those_of_the_rows_apart(family: str):
    model, (ids, mask, labels) = tiny(family), batch()
    assert takes_packed_rows(model.config, LENGTH)
    together = packed(ids, mask, labels)
    assert together is not None
    assert together.input_ids.shape[1] == int(mask.sum()) - 2 * SHARED
    apart = loss_and_gradients(
        model, {"input_ids": ids, "attention_mask": mask}, next_labels(labels)
    )
    ours = loss_and_gradients(model, together.inputs(), together.targets)
    for one, other in zip(ours, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_row_does_not_see_its_neighbours():
    ids, mask, labels = batch()
    model = tiny("llama")
    outputs = []
    for token in (20, 21):
        ids[1, SHARED + 2] = token
        together = packed(ids, mask, labels)
        assert together is not None
        with torch.no_grad():
            outputs.append(model(**together.inputs(), use_cache=False).logits[0])
    own = slice(LENGTH + 2, LENGTH + 2 + LENGTH - 2 - SHARED - 2)  # of the second row, from there
    changed = (outputs[0] != outputs[1]).any(-1)
    assert changed[own].all()
    changed[own] = False
    assert not changed.any()


def test_a_token_that_predicts_an_answer_is_not_shared():
    """With the very same prompt in every row, its last token predicts each row's own answer."""
    ids, mask, labels = batch()
    labels[:, SHARED] = ids[:, SHARED]
    together = packed(ids, mask, labels)
    assert together is not None
    assert together.input_ids.shape[1] == int(mask.sum()) - 2 * (SHARED - 1)
    assert (together.targets != NOT_LEARNT).sum() == (labels != NOT_LEARNT).sum()


def test_rows_that_share_nothing_stay_apart():
    ids, mask, labels = batch()
    assert packed(ids[:1], mask[:1], labels[:1]) is None
    ids[:, 0] = torch.arange(3)
    assert packed(ids, mask, labels) is None


def test_only_models_that_take_a_mask_of_ones_own_get_packed_rows():
    llama = tiny("llama").config
    llama._attn_implementation = "flash_attention_2"  # takes no mask of pairs
    assert not takes_packed_rows(llama, LENGTH)
    mistral = tiny("mistral").config
    mistral.sliding_window = LENGTH - 1
    assert not takes_packed_rows(mistral, LENGTH)
    falcon = tiny("llama").config
    falcon.model_type = "falcon"  # some of them bias attention by distance
    assert not takes_packed_rows(falcon, LENGTH)


@pytest.mark.parametrize(
    ("rows", "length", "quicker"), [(4, 64, True), (8, 64, True), (4, 128, False), (4, 256, False)]
)
def test_long_rows_stay_apart_for_attention_sake(rows: int, length: int, quicker: bool):
    """As measured for SmolLM2 with a system message of twenty-two tokens."""
    ids = torch.randint(1, 64, (rows, length))
    ids[:, :22] = 7
    labels = torch.full_like(ids, NOT_LEARNT)
    together = packed(ids, torch.ones_like(ids), labels)
    assert together is not None
    assert is_less_work(together, ids, hidden_size=576) == quicker


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_padding_on_the_right_needs_no_mask(family: str):
    model, (ids, mask, labels) = tiny(family), batch()
    ids[:, 0] = torch.arange(3)  # they share nothing
    rows, targets = lay_out(model.config, ids, mask, labels)
    assert list(rows) == ["input_ids"]
    with_mask = loss_and_gradients(model, {**rows, "attention_mask": mask}, targets)
    for one, other in zip(loss_and_gradients(model, rows, targets), with_mask, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_padding_on_the_left_and_other_families_keep_their_mask():
    ids, mask, labels = batch()
    config = tiny("llama").config
    assert "attention_mask" in lay_out(config, ids.flip(1), mask.flip(1), labels.flip(1))[0]
    config.model_type = "falcon"
    assert "attention_mask" in lay_out(config, ids, mask, labels)[0]
