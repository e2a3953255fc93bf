"""What the loss sees of one training row: with and without a template, a mask, an end, a cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labs_lib.data.token_row import IGNORED, visible
from labs_lib.errors import LabError, choice_error, shorten

END_MARKS = ("learned", "masked", "missing")
"""What may become of a row's end token: the loss counts it, it is masked, it is not there.

"masked" is what a collator does that masks padding by its id, where padding and end are one token:
every token with that id gets the label -100.
"""


@dataclass(frozen=True)
class RowTokens:
    """A row as a tokenizer writes it: `texts` and `ids`, one a token, white space made visible.

    The first `prompt_tokens` are the prompt; the last `end_tokens` end the answer, of which the
    first is the end token, `end_id`.
    """

    texts: tuple[str, ...]
    ids: tuple[int, ...]
    prompt_tokens: int
    end_tokens: int
    end_id: int


@dataclass(frozen=True)
class LossView:
    """What is left of a row, and what the loss makes of it.

    `tokens` are in the row once it is cut; `labels` has one entry each. `counted` says for each
    whether its prediction is a term of the loss: its label is not -100, and a token comes before
    it. `lost` counts the tokens of the answer, end included, that the cut took away.
    """

    tokens: int
    labels: tuple[int, ...]
    counted: tuple[bool, ...]
    lost: int
    learns_end: bool

    @property
    def terms(self) -> int:
        """Return how many predictions the loss is the mean of."""
        return sum(self.counted)


def templated_tokens(tokenizer: Any, prompt: str, completion: str) -> RowTokens:
    """Return one exchange in the tokenizer's chat template; what follows the answer is its end.

    Raises `LabError` for a template that does not leave prompt, answer and end token in one piece.
    """
    question = [{"role": "user", "content": prompt}]
    answered = [*question, {"role": "assistant", "content": completion}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(answered, return_dict=False)
    answer = tokenizer(completion, add_special_tokens=False)["input_ids"]
    end = len(asked) + len(answer)
    if whole[: end + 1] != [*asked, *answer, tokenizer.eos_token_id]:
        raise LabError(
            "it does not keep prompt, answer and end token in one piece", "chat template"
        )
    return _row(tokenizer, whole, len(asked), len(whole) - end)


def plain_tokens(tokenizer: Any, prompt: str, completion: str) -> RowTokens:
    """Return prompt, answer and the tokenizer's end token as plain text, one behind the other."""
    asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return _row(tokenizer, [*asked, *answer, tokenizer.eos_token_id], len(asked), 1)


def loss_view(
    row: RowTokens,
    mask_prompt: bool = True,
    end_mark: str = "learned",
    max_length: int | None = None,
) -> LossView:
    """Return the labels of a row and which of its predictions the loss counts.

    `mask_prompt` gives the prompt the label -100; `end_mark` is one of `END_MARKS`; the row is cut
    at `max_length` tokens, or nowhere. The model shifts the labels itself, so the first token's is
    never used. Raises `LabError` for another `end_mark`, and for a length below 1.
    """
    if end_mark not in END_MARKS:
        raise choice_error("end_mark", end_mark, END_MARKS)
    if max_length is not None and (isinstance(max_length, bool) or not max_length >= 1):
        raise LabError(f"{shorten(max_length)} is no number of tokens from 1 up", "max_length")
    end = len(row.ids) - row.end_tokens
    whole = end if end_mark == "missing" else len(row.ids)
    tokens = whole if max_length is None else min(whole, max_length)
    labels = tuple(
        IGNORED
        if (mask_prompt and at < row.prompt_tokens) or (end_mark == "masked" and each == row.end_id)
        else each
        for at, each in enumerate(row.ids[:tokens])
    )
    counted = tuple(at > 0 and label != IGNORED for at, label in enumerate(labels))
    return LossView(
        tokens=tokens,
        labels=labels,
        counted=counted,
        lost=whole - max(tokens, row.prompt_tokens),
        learns_end=any(counted[end : end + 1]),
    )


def _row(tokenizer: Any, ids: Sequence[int], prompt_tokens: int, end_tokens: int) -> RowTokens:
    texts = tuple(visible(tokenizer.decode([token_id])) for token_id in ids)
    return RowTokens(texts, tuple(map(int, ids)), prompt_tokens, end_tokens, tokenizer.eos_token_id)
