"""One table of gradients where the words' table is the output head: the same numbers in place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from labs_lib.training.engine.measure import LiveBytes
from labs_lib.training.engine.tied_words import added_to_head, has_one_table

VOCABULARY = 3000


def tiny(tied: bool = True, padding: int | None = None) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=tied,
            pad_token_id=padding,
        )
    )


def gradients(model: Any, batches: int = 1) -> dict[str, torch.Tensor]:
    for seed in range(batches):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(VOCABULARY, (2, 7), generator=generator)
        ids[0, :3] = 5  # a word that stands there more than once
        model(input_ids=ids, labels=ids).loss.backward()
    return {name: each.grad for name, each in model.named_parameters()}


@pytest.mark.parametrize("padding", [None, 5])
@pytest.mark.parametrize("batches", [1, 3])
def test_gradients_are_torchs(batches: int, padding: int | None):
    expected = gradients(tiny(padding=padding), batches)
    model = tiny(padding=padding)
    assert has_one_table(model)
    with added_to_head(model):
        found = gradients(model, batches)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)
    assert found["model.embed_tokens.weight"][5].any()


def test_two_tables_fewer_are_made():
    peaks = []
    for wanted in (False, True):
        model = tiny()
        with added_to_head(model, wanted), LiveBytes() as counter:
            gradients(model)
        peaks.append(counter.peak_bytes)
    table = 4 * VOCABULARY * 64
    assert peaks[0] - peaks[1] > 1.7 * table  # beside them the logits fall and rise


def test_afterwards_the_model_is_as_it_was():
    model = tiny()
    with added_to_head(model):
        gradients(model)
    model.zero_grad()
    expected = gradients(tiny())
    assert "forward" not in vars(model.get_input_embeddings())
    assert all(torch.equal(each, expected[name]) for name, each in gradients(model).items())


def frozen(model: Any) -> None:
    model.get_input_embeddings().weight.requires_grad_(requires_grad=False)


def renormed(model: Any) -> None:
    model.get_input_embeddings().max_norm = 1.0


@pytest.mark.parametrize(
    ("model", "change"), [(tiny(tied=False), None), (tiny(), frozen), (tiny(), renormed)],
    ids=["apart", "frozen", "renormed"],
)  # fmt: skip
def test_another_table_is_left_to_torch(model: Any, change: Any):
    if change:
        change(model)
    assert not has_one_table(model)
