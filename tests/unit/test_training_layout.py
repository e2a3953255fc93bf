"""Rows packed behind their common beginning, or without a mask: the same training, less work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib.training.engine.layout import (
    BY_ROWS,
    NOT_LEARNT,
    attend_by_rows,
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
    """Return a small model as transformers makes it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPE))


def by_rows(family: str) -> Any:
    """Return the same model, taking packed rows."""
    model = tiny(family)
    attend_by_rows(model)
    return model


def loss_and_gradients(model: Any, rows: dict[str, Any], targets: torch.Tensor) -> list[Any]:
    model.zero_grad()
    logits = model(**rows, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return [loss.detach(), *(each.grad.clone() for each in model.parameters())]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_loss_and_gradients_are_those_of_the_rows_apart(family: str, checkpointing: bool):
    ids, mask, labels = batch()
    model = by_rows(family)
    if checkpointing:  # the layers run once more while the gradients are taken
        model.gradient_checkpointing_enable()
    rows, targets = lay_out(model.config, ids, mask, labels)
    assert targets.shape[1] == int(mask.sum()) - len(ids) - 2 * SHARED
    apart = loss_and_gradients(
        tiny(family), {"input_ids": ids, "attention_mask": mask}, next_labels(labels)
    )
    for one, other in zip(loss_and_gradients(model, rows, targets), apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_rows_that_share_nothing_lose_their_padding(family: str):
    ids, mask, labels = batch()
    ids[:, 0] = torch.arange(3)
    model = by_rows(family)
    rows, targets = lay_out(model.config, ids, mask, labels)
    assert targets.shape[1] == int(mask.sum()) - len(ids)  # a row's last token predicts nothing
    apart = loss_and_gradients(
        tiny(family), {"input_ids": ids, "attention_mask": mask}, next_labels(labels)
    )
    for one, other in zip(loss_and_gradients(model, rows, targets), apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_row_does_not_see_its_neighbors():
    ids, mask, labels = batch()
    model = by_rows("llama")
    outputs = []
    for token in (20, 21):
        ids[1, SHARED + 2] = token
        together = packed(ids, mask, labels)
        with torch.no_grad():
            outputs.append(model(**together.inputs(), use_cache=False).logits[0])
    first, second = LENGTH - 1, LENGTH - 3  # tokens of a row up to its last answer's prediction
    own = slice(first + 2, first + second - SHARED)  # of the second row, from there
    changed = (outputs[0] != outputs[1]).any(-1)
    assert changed[own].all()
    changed[own] = False
    assert not changed.any()


def test_a_token_that_predicts_an_answer_is_not_shared():
    """With the very same prompt in every row, its last token predicts each row's own answer."""
    ids, mask, labels = batch()
    labels[:, SHARED] = ids[:, SHARED]
    together = packed(ids, mask, labels)
    assert together.input_ids.shape[1] == int(mask.sum()) - len(ids) - 2 * (SHARED - 1)
    assert (together.targets != NOT_LEARNT).sum() == (labels != NOT_LEARNT).sum()


def test_rows_that_gain_nothing_stay_as_they_are():
    ids, mask, labels = batch()
    config = by_rows("llama").config
    assert list(lay_out(config, ids[:1], mask[:1], labels[:1])[0]) == ["input_ids"]
    ids[:, 0] = torch.arange(3)
    all_to_the_end = labels[:1].expand_as(labels)
    rows, targets = lay_out(config, ids, torch.ones_like(ids), all_to_the_end)
    assert list(rows) == ["input_ids"]
    assert rows["input_ids"].shape == targets.shape == (3, LENGTH - 1)


@pytest.mark.parametrize("attends", [by_rows, tiny])
def test_nothing_after_the_last_answer_is_computed(attends: Any):
    """As after a dialogue whose last turn is the user's; one row has no answer at all."""
    ids, mask, labels = batch()
    labels[:, 9:] = NOT_LEARNT
    labels[1] = NOT_LEARNT
    labels[0, 6:9] = ids[0, 6:9]
    model = attends("llama")
    rows, targets = lay_out(model.config, ids, mask, labels)
    assert (targets != NOT_LEARNT).sum() == (labels != NOT_LEARNT).sum()
    assert rows["input_ids"].shape[1] <= (len(ids) - 1) * 8
    apart = loss_and_gradients(
        tiny("llama"), {"input_ids": ids, "attention_mask": mask}, next_labels(labels)
    )
    for one, other in zip(loss_and_gradients(model, rows, targets), apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_rows_without_any_answer_are_left_as_they_are():
    ids, mask, labels = batch()
    rows, targets = lay_out(by_rows("llama").config, ids, mask, labels.fill_(NOT_LEARNT))
    assert rows == {"input_ids": ids, "attention_mask": mask}
    assert targets.shape == ids.shape


def test_only_models_whose_attention_can_take_packed_rows_get_them():
    eager = tiny("llama")
    eager.config._attn_implementation = "eager"
    attend_by_rows(eager)
    assert not takes_packed_rows(eager.config, LENGTH)
    falcon = tiny("llama")
    falcon.config.model_type = "falcon"  # some of them bias attention by distance
    attend_by_rows(falcon)
    assert not takes_packed_rows(falcon.config, LENGTH)
    mistral = by_rows("mistral").config
    assert takes_packed_rows(mistral, LENGTH)
    mistral.sliding_window = LENGTH - 1
    assert not takes_packed_rows(mistral, LENGTH)


def test_other_input_gives_what_it_gave_before():
    """Padding on the left, a mask, a cache: what writing an answer needs."""
    ids, mask, _ = batch()
    rows = {"input_ids": ids.flip(1), "attention_mask": mask.flip(1)}
    with torch.no_grad():
        before, after = (model(**rows).logits for model in (tiny("llama"), by_rows("llama")))
    torch.testing.assert_close(before, after, rtol=0, atol=0)
    answers = [
        model.generate(**rows, max_new_tokens=5, do_sample=False, pad_token_id=0)
        for model in (tiny("llama"), by_rows("llama"))
    ]
    assert torch.equal(*answers)


def test_a_saved_model_does_not_name_the_course_s_attention(tmp_path: Path):
    by_rows("llama").save_pretrained(tmp_path)
    assert BY_ROWS not in (tmp_path / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_padding_on_the_right_needs_no_mask(family: str):
    model, (ids, mask, labels) = tiny(family), batch()
    ids[:, 0] = torch.arange(3)  # they share nothing
    rows, targets = lay_out(model.config, ids, mask, labels)
    assert list(rows) == ["input_ids"]
    with_mask = loss_and_gradients(
        model, {**rows, "attention_mask": mask[:, : targets.shape[1]]}, targets
    )
    for one, other in zip(loss_and_gradients(model, rows, targets), with_mask, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_padding_on_the_left_and_other_families_keep_their_mask():
    ids, mask, labels = batch()
    config = by_rows("llama").config
    assert "attention_mask" in lay_out(config, ids.flip(1), mask.flip(1), labels.flip(1))[0]
    config.model_type = "falcon"
    assert "attention_mask" in lay_out(config, ids, mask, labels)[0]
