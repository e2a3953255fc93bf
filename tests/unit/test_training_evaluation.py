"""Answers come back in the order of their prompts, and are those that each prompt gets alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib import models
from labs_lib.training import evaluation
from labs_lib.training.engine.folding import folded_in

TEXTS = ["An order", "An order of bread", "An order of two loaves of bread for a town", "A"]


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

    model = torch.nn.Dropout()
    monkeypatch.setattr(evaluation, "_generate", echo)
    monkeypatch.setattr(evaluation, "chat_texts", lambda _tokenizer, prompts: list(prompts))
    asked = ["a" * (1 + 7 * index % 5) + str(index) for index in range(prompts)]
    answers = evaluation.answer(model, None, asked, most_at_once=5)
    assert answers == [prompt.upper() for prompt in asked]
    assert [len(batch) for batch in batches] == sizes
    lengths = [len(text) for batch in batches for text in batch]
    assert lengths == sorted(lengths)
    assert model.training, "the model was left in another mode than it came in"


def loaded(folder: Path) -> tuple[Any, Any]:
    return models.load(str(folder), dtype="fp32")


def load_to_read_tokens(folder: Path) -> tuple[Any, Any]:
    """Return a tiny model that never ends an answer, and a tokenizer that tells token numbers."""
    model, tokenizer = loaded(folder)
    model.generation_config.eos_token_id = None
    tokenizer.batch_decode = lambda new, **_: [str(row.tolist()) for row in new]
    return model, tokenizer


def asked_together_and_alone(model: Any, tokenizer: Any, system: str) -> tuple[list[str], ...]:
    prompts: list[Any] = [
        [{"role": "system", "content": system}, {"role": "user", "content": text}] for text in TEXTS
    ]
    alone = [evaluation.answer(model, tokenizer, [prompt], 8)[0] for prompt in prompts]
    return evaluation.answer(model, tokenizer, prompts, 8), alone


@pytest.mark.parametrize("system", ["You turn orders into JSON.", ""])
def test_a_shared_beginning_changes_no_answer(
    tiny_model: Path, system: str, monkeypatch: pytest.MonkeyPatch
):
    model, tokenizer = load_to_read_tokens(tiny_model)
    torch.manual_seed(0)
    for parameter in model.parameters():  # as it comes from its maker, it hardly looks back
        torch.nn.init.normal_(parameter, std=0.3)
    known: list[bool] = []
    generate = model.generate
    monkeypatch.setattr(
        model,
        "generate",
        lambda **given: known.append("past_key_values" in given) or generate(**given),
    )
    together, alone = asked_together_and_alone(model, tokenizer, system)
    assert together == alone
    assert len(set(together)) > 2, "answers that are all alike show nothing"
    assert known == [False] * len(TEXTS) + [True], "a row alone shares nothing"


def test_a_cache_with_room_gives_the_same_logits_and_is_written_into(tiny_model: Path):
    from labs_lib.training.engine.roomy_cache import with_room

    model, _ = loaded(tiny_model)
    tokens = torch.arange(3, 39).view(3, 12)
    shared, room = tokens[:1, :4], 6
    seen: dict[bool, list[torch.Tensor]] = {}
    places: set[int] = set()
    for roomy in (False, True):
        with torch.inference_mode():
            cache = model(input_ids=shared, use_cache=True).past_key_values
            if roomy:
                with_room(cache, 3, room)
            else:
                cache.batch_repeat_interleave(3)
            seen[roomy] = []
            for at in range(4, 12):  # the last two tokens are beyond the room
                logits = model(input_ids=tokens[:, at : at + 1], past_key_values=cache).logits
                seen[roomy].append(logits)
                if roomy and at < 4 + room:
                    places.add(cache.layers[0].keys.data_ptr())
            assert cache.get_seq_length() == 12
    for one, other in zip(seen[False], seen[True], strict=True):
        torch.testing.assert_close(one, other)
    assert len(places) == 1, "nothing was copied while there was room"


def test_a_family_with_a_state_of_its_own_shares_nothing(tiny_model: Path):
    model, _ = loaded(tiny_model)
    assert evaluation._shared_tokens(model, [[1, 2, 3], [1, 2, 4]], 8) == 2
    assert evaluation._shared_tokens(model, [[1, 2], [1, 2, 4]], 8) == 1, "a row keeps a token"
    model.config.model_type = "falcon"
    assert evaluation._shared_tokens(model, [[1, 2, 3], [1, 2, 4]], 8) == 0


def test_a_window_is_not_filled_with_padding(tiny_model: Path):
    model, _ = loaded(tiny_model)
    rows = [[1, 2, 3], [1, 2, 4, 5]]
    model.config.sliding_window = 12
    assert evaluation._shared_tokens(model, rows, 8) == 2
    model.config.sliding_window = 11  # the longest row and its answer are 12 tokens
    assert evaluation._shared_tokens(model, rows, 8) == 0


def test_prompt_tuning_shares_nothing(tiny_model: Path):
    from peft import PromptTuningConfig, get_peft_model

    model, tokenizer = load_to_read_tokens(tiny_model)
    tuned = get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    assert evaluation._shared_tokens(tuned, [[1, 2, 3], [1, 2, 4]], 8) == 0
    together, alone = asked_together_and_alone(tuned, tokenizer, "Be brief.")
    assert together == alone


def lora(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))


def test_an_untrained_adapter_is_folded_in_and_out_to_the_bit(tiny_model: Path):
    model, _ = models.load(str(tiny_model), dtype="fp32")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapped = lora(model)
    with folded_in(wrapped) as folded:
        assert folded
    after = wrapped.unload().state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_trained_adapter_folded_in_gives_the_same_logits(tiny_model: Path):
    model, _ = models.load(str(tiny_model), dtype="fp32")
    wrapped = lora(model)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        apart = wrapped(input_ids=ids).logits
        with wrapped.disable_adapter():
            base = wrapped(input_ids=ids).logits
        with folded_in(wrapped):
            torch.testing.assert_close(wrapped(input_ids=ids).logits, apart)
            assert all(part.merged for part in wrapped.modules() if hasattr(part, "lora_A"))
        torch.testing.assert_close(wrapped(input_ids=ids).logits, apart)
    assert (base - apart).abs().max() > 0.01, "an adapter that changes nothing shows nothing"


def test_what_cannot_be_folded_is_left_alone(tiny_model: Path):
    model, _ = models.load(str(tiny_model), dtype="bf16")
    with folded_in(model) as folded:
        assert not folded, "no adapter"
    with folded_in(lora(model)) as folded:
        assert not folded, "16 bits would round the adapter away"


@pytest.mark.parametrize("wrapped", [False, True], ids=["base", "adapter"])
def test_the_vocabulary_gets_all_rows_in_one_piece(tiny_model: Path, wrapped: bool):
    """A view with gaps becomes a batch of products, with a copy of the matrix for each row."""
    model, tokenizer = models.load(str(tiny_model), dtype="bf16")
    model = lora(model) if wrapped else model
    head = model.get_output_embeddings()
    assert head is not None
    given: list[torch.Tensor] = []
    head.register_forward_hook(lambda _head, inputs, _logits: given.append(inputs[0]))
    evaluation.answer(model, tokenizer, TEXTS, 3)
    assert any(len(hidden) == len(TEXTS) for hidden in given)
    assert all(hidden.is_contiguous() and hidden.shape[1] == 1 for hidden in given)
    assert not head._forward_pre_hooks, "it is left as it came"
