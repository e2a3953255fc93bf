"""What the loss sees of a row: the labels that the libraries give it, and how many terms count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from labs_lib import models
from labs_lib.data import load_set, loss_view, plain_tokens, templated_tokens
from labs_lib.data.loss_view import END_MARKS
from labs_lib.errors import LabError

ROW = load_set("sea-captain").train[0]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(models.prepare_bundled(), local_files_only=True)


def test_the_standard_view_is_what_the_trainer_makes_of_the_row(tokenizer):
    from labs_lib.training.encoding import Encoder

    encoded = Encoder(tokenizer, 512).encode(ROW)
    row = templated_tokens(tokenizer, ROW.prompt, ROW.completion)
    view = loss_view(row)
    assert (list(row.ids), list(view.labels)) == (encoded.input_ids, encoded.labels)
    cut = Encoder(tokenizer, 40).encode(ROW)
    assert list(loss_view(row, max_length=40).labels) == cut.labels


def test_masked_is_what_the_collator_of_language_modeling_does(tokenizer):
    from transformers import DataCollatorForLanguageModeling

    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    row = templated_tokens(tokenizer, ROW.prompt, ROW.completion)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    labels = collator([{"input_ids": list(row.ids)}])["labels"][0].tolist()
    view = loss_view(row, mask_prompt=False, end_mark="masked")
    assert list(view.labels) == labels
    assert not view.learns_end


@pytest.mark.parametrize("write", [templated_tokens, plain_tokens], ids=["template", "plain"])
@pytest.mark.parametrize("end_mark", END_MARKS)
@pytest.mark.parametrize("mask_prompt", [False, True])
def test_terms_are_those_of_a_causal_model_s_loss(tokenizer, write, end_mark, mask_prompt):
    row = write(tokenizer, ROW.prompt, ROW.completion)
    for max_length in (1, row.prompt_tokens, row.prompt_tokens + 3, None):
        view = loss_view(row, mask_prompt, end_mark, max_length)
        shifted = torch.tensor([*view.labels[1:], -100])  # as transformers shifts them
        losses = torch.nn.functional.cross_entropy(
            torch.zeros(view.tokens, 49152), shifted, reduction="none"
        )
        assert view.terms == int((losses > 0).sum())
        assert len(view.labels) == len(view.counted) == view.tokens


def test_a_cut_takes_the_end_first_and_in_the_end_all_of_the_answer(tokenizer):
    row = templated_tokens(tokenizer, ROW.prompt, ROW.completion)
    whole, answer = len(row.ids), len(row.ids) - row.prompt_tokens
    for cut, lost, learns_end in (
        (0, 0, True),
        (1, 1, True),
        (2, 2, False),
        (answer + 4, answer, False),
    ):
        view = loss_view(row, max_length=whole - cut)
        assert (view.lost, view.learns_end) == (lost, learns_end)
    assert loss_view(row, max_length=row.prompt_tokens).terms == 0


def test_the_parts_of_a_row_are_found(tokenizer):
    row = templated_tokens(tokenizer, ROW.prompt, ROW.completion)
    assert row.texts[row.prompt_tokens] == "Arr"
    assert row.texts[-row.end_tokens :] == ("<|im_end|>", "↵")
    plain = plain_tokens(tokenizer, ROW.prompt, ROW.completion)
    assert plain.texts[: plain.prompt_tokens][-1] == "?"
    assert plain.texts[-1] == "<|im_end|>"
    assert plain.end_id == row.end_id == tokenizer.eos_token_id


def test_bad_values_are_refused_in_one_line(tokenizer):
    row = plain_tokens(tokenizer, "Hi", "Arr")
    with pytest.raises(LabError, match="end_mark: 'learnt' is not one of learned, masked, missing"):
        loss_view(row, end_mark="learnt")
    with pytest.raises(LabError, match="max_length: 0 is no number of tokens"):
        loss_view(row, max_length=0)


def test_a_template_that_changes_the_answer_is_refused(tokenizer):
    class Shouting:
        """A tokenizer whose template writes answers in capitals."""

        eos_token_id = tokenizer.eos_token_id

        def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> list[int]:
            loud = [{**each, "content": each["content"].upper()} for each in messages]
            return tokenizer.apply_chat_template(loud, **options)

        def __call__(self, *args: Any, **options: Any) -> Any:
            return tokenizer(*args, **options)

    with pytest.raises(LabError, match="chat template: it does not keep"):
        templated_tokens(Shouting(), "Hi", "Arr, aye")
