"""Answers and scores on rows that training never showed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from labs_lib.models.chat import chat_text as chat_text
from labs_lib.models.chat import chat_texts
from labs_lib.models.windows import check_tokens, room_for
from labs_lib.step.families import family_of
from labs_lib.training.engine.evaluating import evaluating
from labs_lib.training.engine.last_token import head_in_one_product
from labs_lib.training.engine.roomy_cache import with_room
from labs_lib.training.records import Record

if TYPE_CHECKING:
    from labs_lib.data import Row

Scorer = Callable[["Row", str], bool]


@dataclass(frozen=True)
class Evaluation(Record):
    """What a model answered to held-out prompts, and which rows each metric counted as right.

    `answers[i]` belongs to `prompts[i]`; `passed[metric][i]` says whether it was right.
    """

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    passed: dict[str, tuple[bool, ...]]
    loss: float | None = None

    def rate(self, metric: str) -> float:
        """Return the share of rows that `metric` counts as right, 0 to 1."""
        marks = self.passed[metric]
        return sum(marks) / len(marks) if marks else 0.0

    def rates(self) -> dict[str, float]:
        """Return every metric's share of right rows."""
        return {metric: self.rate(metric) for metric in self.passed}


def kept(before: Evaluation, after: Evaluation, metric: str) -> float | None:
    """Return the share of rows right before that are still right after; None if none was right."""
    pairs = zip(before.passed[metric], after.passed[metric], strict=True)
    still = [now for was, now in pairs if was]
    return sum(still) / len(still) if still else None


def answer(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str | list[dict[str, str]]],
    max_new_tokens: int = 40,
    most_at_once: int = 48,
) -> list[str]:
    """Answer each prompt greedily, as the chat template frames it; returns the text alone.

    A prompt is the user's text, or the messages before the answer. Prompts of like length are
    batched together, so that little is spent on padding, at most `most_at_once` and about equally
    many in each batch: a token for many rows costs a CPU little more than one for a few. In fp32
    each answer is the one that the prompt gets alone; in bf16 rounding may choose the other of two
    words that are nearly as likely. An answer ends where the model's window does. Raises `LabError`
    for a prompt that the chat template or the model's tables have no place for.
    """
    texts = chat_texts(tokenizer, prompts)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    answers = [""] * len(texts)
    batches = math.ceil(len(order) / most_at_once)
    with evaluating(model):
        for number in range(batches):
            chosen = order[len(order) * number // batches : len(order) * (number + 1) // batches]
            batch = _generate(model, tokenizer, [texts[index] for index in chosen], max_new_tokens)
            for index, text in zip(chosen, batch, strict=True):
                answers[index] = text
    return answers


def evaluate(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    scorers: Mapping[str, Scorer],
    max_new_tokens: int = 40,
    loss: float | None = None,
) -> Evaluation:
    """Answer the rows' prompts and score the answers."""
    prompts = [row.prompt for row in rows]
    messages = [row.prompt_messages() for row in rows]
    answers = answer(model, tokenizer, messages, max_new_tokens) if rows and scorers else []
    passed = {
        metric: tuple(bool(score(row, text)) for row, text in zip(rows, answers, strict=False))
        for metric, score in scorers.items()
    }
    return Evaluation(tuple(prompts), tuple(answers), passed, loss)


@torch.inference_mode()
def _generate(model: Any, tokenizer: Any, texts: list[str], max_new_tokens: int) -> list[str]:
    """Answer one batch; the beginning that all texts share goes through the model once.

    A row is laid out as beginning, padding, its own tokens. Positions count the tokens that the
    mask shows, so the padding between them changes nothing.
    """
    encoded = tokenizer(texts, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    check_tokens(model, encoded)
    max_new_tokens = min(max_new_tokens, room_for(model, max(map(len, encoded))))
    shared = _shared_tokens(model, encoded, max_new_tokens)
    own = tokenizer.pad(
        {"input_ids": [row[shared:] for row in encoded]}, padding_side="left", return_tensors="pt"
    ).to(model.device)
    beginning = torch.tensor(encoded[0][:shared], dtype=torch.long, device=model.device)
    beginning = beginning.expand(len(texts), shared)
    ids = torch.cat([beginning, own["input_ids"]], dim=1)
    cached = {}
    if shared:
        cache = model(input_ids=beginning[:1], use_cache=True, logits_to_keep=1).past_key_values
        room = ids.shape[1] - shared + max_new_tokens
        cached["past_key_values"] = with_room(cache, len(texts), room)
    with head_in_one_product(model):
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.cat([torch.ones_like(beginning), own["attention_mask"]], dim=1),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=tokenizer.pad_token_id,
            **cached,
        )
    new = output[:, ids.shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def _shared_tokens(model: Any, rows: list[list[int]], max_new_tokens: int) -> int:
    """Return how many tokens all rows begin with; every row keeps at least one of its own.

    0 where the beginning cannot be computed once for all rows: in families whose tokens depend
    on more than position and the tokens before them (a distance bias, a recurrent state), where
    attention reaches back only so far that padding would use up its window, and where an adapter
    puts trained embeddings in front of each row.
    """
    from labs_lib.training.engine.layout import sees_whole

    adapter = getattr(model, "active_peft_config", None)
    if len(rows) == 1 or not family_of(model.config.model_type).plainly_causal:
        return 0
    if not sees_whole(model.config, max(map(len, rows)) + max_new_tokens):
        return 0
    if getattr(adapter, "is_prompt_learning", False):
        return 0
    columns = zip(*(row[:-1] for row in rows), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
