"""What is reached without training: the base model's answers, and the nearest row's."""

from __future__ import annotations

import itertools
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.judging.scores import Scores, score_answers

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row

COMPARED_CHARACTERS = 500
"""Of each prompt behind what all begin with, so that 20,000 long rows take seconds."""


def baseline(
    model: Any,
    tokenizer: Any,
    data_set: DataSet,
    shots: int = 0,
    metric: str | None = None,
    rows: int = 40,
    max_new_tokens: int = 40,
    seed: int = 0,
) -> Scores:
    """Score the model's answers to the first `rows` test rows, with `shots` examples before each.

    The examples are training rows drawn by `seed`, the same for all rows, given as earlier turns
    of the conversation. `rows` and `max_new_tokens` are what a recipe calls `eval_rows` and
    `eval_tokens`: with the same numbers a run's scores are of the same rows. Raises `LabError`
    for more shots than training rows, and for a prompt that leaves the model's window no room.
    """
    from labs_lib.models.chat import chat_texts
    from labs_lib.training import answer

    chosen = data_set.test[:rows]
    asked = [few_shot_messages(data_set, row, shots, seed) for row in chosen]
    texts = chat_texts(tokenizer, asked)
    special = not tokenizer.chat_template
    lengths = [len(tokenizer(text, add_special_tokens=special)["input_ids"]) for text in texts]
    answers = answer(model, tokenizer, asked, max_new_tokens) if chosen else []
    return score_answers(
        f"base model, {shots} examples" if shots else "base model",
        data_set,
        chosen,
        answers,
        metric,
        prompt_tokens=statistics.fmean(lengths) if lengths else 0.0,
    )


def few_shot_messages(
    data_set: DataSet, row: Row, shots: int, seed: int = 0
) -> list[dict[str, str]]:
    """Return the messages that ask `row` after `shots` training rows as earlier turns.

    A row's own system message stays in front; those of the examples are left out.
    """
    if not 0 <= shots <= len(data_set.train):
        raise LabError(
            f"shots: {shots} examples of {len(data_set.train)} training rows; give 0 to "
            f"{len(data_set.train)}"
        )
    own = row.prompt_messages()
    system = [message for message in own if message["role"] == "system"]
    turns = [
        message
        for example in drawn_examples(data_set, shots, seed)
        for message in example.messages()
        if message["role"] != "system"
    ]
    return [*system, *turns, *(message for message in own if message["role"] != "system")]


def drawn_examples(data_set: DataSet, shots: int, seed: int = 0) -> list[Row]:
    """Return `shots` training rows drawn by `seed`; no answer comes again before all have come.

    So the examples of a classification show every label, if there are enough of them.
    """
    if not shots:
        return []
    order = random.Random(seed).sample(range(len(data_set.train)), len(data_set.train))
    seen: Counter[str] = Counter()
    turn: dict[int, int] = {}
    for index in order:
        answer = data_set.train[index].completion
        turn[index] = seen[answer]
        seen[answer] += 1
    order.sort(key=turn.__getitem__)
    return [data_set.train[index] for index in order[:shots]]


def nearest_answer(data_set: DataSet, metric: str | None = None, rows: int = 40) -> Scores:
    """Score the answer of the training row whose prompt is nearest, copied as it is.

    Near by the share of characters that two prompts have in common, in order
    (`rapidfuzz.fuzz.ratio`, over `COMPARED_CHARACTERS` behind the beginning that all prompts
    share). No model is asked: what this reaches needs no fine-tuning.
    Raises `LabError` for a set without training rows.
    """
    from rapidfuzz import fuzz, process

    if not data_set.train:
        raise LabError(f"dataset: {data_set.name} has no training rows to copy an answer from")
    chosen = data_set.test[:rows]
    start = _shared_beginning([row.prompt for row in (*data_set.train, *chosen)])
    compared = slice(start, start + COMPARED_CHARACTERS)
    known = [row.prompt[compared] for row in data_set.train]
    answers = []
    for row in chosen:
        found = process.extractOne(row.prompt[compared], known, scorer=fuzz.ratio)
        answers.append(data_set.train[found[2]].completion)
    return score_answers("nearest training row", data_set, chosen, answers, metric)


def _shared_beginning(texts: Sequence[str]) -> int:
    """Return how many characters all texts begin with: the first and the last in order tell."""
    pairs = zip(min(texts), max(texts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
