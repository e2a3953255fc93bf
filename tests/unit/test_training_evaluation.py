"""Answers come back in the order of their prompts, whatever shares a batch."""

from __future__ import annotations

from typing import Any

import pytest

from labs_lib.training import evaluation


@pytest.mark.parametrize(
    ("prompts", "sizes"), [(0, []), (1, [1]), (5, [5]), (6, [3, 3]), (11, [3, 4, 4])]
)
def test_prompts_of_like_length_share_batches_of_like_size(
    monkeypatch: pytest.MonkeyPatch, prompts: int, sizes: list[int]
):
    batches: list[list[str]] = []

    def echo(model: Any, tokenizer: Any, texts: list[str], max_new_tokens: int) -> list[str]:
        batches.append(texts)
        return [text.upper() for text in texts]

    class Model:
        training = True

        def eval(self) -> None:
            self.training = False

        def train(self, mode: bool) -> None:
            self.training = mode

    model = Model()
    monkeypatch.setattr(evaluation, "_generate", echo)
    monkeypatch.setattr(evaluation, "chat_text", lambda tokenizer, prompt: prompt)
    asked = ["a" * (1 + 7 * index % 5) + str(index) for index in range(prompts)]
    answers = evaluation.answer(model, None, asked, most_at_once=5)
    assert answers == [prompt.upper() for prompt in asked]
    assert [len(batch) for batch in batches] == sizes
    lengths = [len(text) for batch in batches for text in batch]
    assert lengths == sorted(lengths)
    assert model.training, "the model was left in another mode than it came in"
