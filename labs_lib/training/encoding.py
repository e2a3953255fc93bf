"""Rows as tokens: the chat template or plain text, and what does not fit into `max_length`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, last_line, shorten
from labs_lib.models.chat import chat_text, chat_texts
from labs_lib.models.windows import vocabulary_of
from labs_lib.training.engine.layout import NOT_LEARNT
from labs_lib.training.records import Record

if TYPE_CHECKING:
    from labs_lib.data import Row

POSITION_TABLES = ("max_position_embeddings", "n_positions", "max_sequence_length")


@dataclass(frozen=True)
class Encoded:
    """One row as tokens: `input_ids`, and `labels` that are -100 where nothing is learnt.

    `tokens` is the row's whole length; `input_ids` ends at `max_length`.
    """

    input_ids: list[int]
    labels: list[int]
    tokens: int

    @property
    def cut(self) -> bool:
        """Return whether the end of the answer is missing, its end token with it."""
        return self.tokens > len(self.input_ids)


@dataclass(frozen=True)
class Fit(Record):
    """How many rows of a split are used, how many of them lost their answer's end, and dropped."""

    used: int
    cut: int
    dropped: int


class Encoder:
    """Turns rows into tokens by a model's tokenizer, each row once.

    With a chat template a row is what the template makes of it. Without one it is plain text, as
    `evaluation.answer` asks it: the prompt, then the answer and the tokenizer's end token.
    """

    def __init__(self, tokenizer: Any, max_length: int, model: str = "the model"):
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._model = model
        self._known: dict[int, tuple[Row, Encoded]] = {}

    def encode(self, row: Row) -> Encoded:
        """Return the row's tokens; `LabError` where the chat template refuses it."""
        if id(row) not in self._known:  # the row is kept, so that its id stays its own
            self._known[id(row)] = (row, self._encode(row))
        return self._known[id(row)][1]

    def fitting(self, rows: Sequence[Row]) -> tuple[list[Row], Fit]:
        """Return the rows of whose answer a token at least fits, and the count of all."""
        encoded = [self.encode(row) for row in rows]
        pairs = zip(rows, encoded, strict=True)
        usable = [(row, tokens) for row, tokens in pairs if _learns(tokens)]
        fit = Fit(
            used=len(usable),
            cut=sum(tokens.cut for _, tokens in usable),
            dropped=len(rows) - len(usable),
        )
        return [row for row, _ in usable], fit

    def dataset(self, rows: Sequence[Row]) -> Any:
        """Return a `datasets.Dataset` with `input_ids` and `labels`, in the rows' order."""
        import datasets

        encoded = [self.encode(row) for row in rows]
        return datasets.Dataset.from_dict(
            {
                "input_ids": [row.input_ids for row in encoded],
                "labels": [row.labels for row in encoded],
            }
        )

    def prompts_ids(self, rows: Sequence[Row]) -> list[list[int]]:
        """Return the tokens of each row's prompt; `LabError` where the chat template refuses one.

        A template is tried in a process of its own: here one for all rows, not one a row.
        """
        with suppress(LabError):  # raised again below, for the row that it is about
            chat_texts(self.tokenizer, [row.prompt_messages() for row in rows])
        return [self.prompt_ids(row) for row in rows]

    def prompt_ids(self, row: Row) -> list[int]:
        """Return the tokens of the prompt alone, as an answer to it is begun."""
        try:
            text = chat_text(self.tokenizer, row.prompt_messages())
        except LabError as error:
            raise self._refusal(row, error) from None
        with_special = not self.tokenizer.chat_template
        return self.tokenizer(text, add_special_tokens=with_special)["input_ids"]

    def _encode(self, row: Row) -> Encoded:
        whole, start = self._templated(row) if self.tokenizer.chat_template else self._plain(row)
        labels = [NOT_LEARNT] * start + whole[start:]
        return Encoded(whole[: self.max_length], labels[: self.max_length], len(whole))

    def _templated(self, row: Row) -> tuple[list[int], int]:
        prompt = self._rendered(row, row.prompt_messages(), add_generation_prompt=True)
        whole = self._rendered(row, row.messages())
        # Some templates frame a prompt otherwise once an answer follows; the answer starts where
        # the two part.
        pairs = zip(prompt, whole, strict=False)
        start = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
        return whole, min(len(prompt), len(whole)) if start is None else start

    def _plain(self, row: Row) -> tuple[list[int], int]:
        prompt = self.prompt_ids(row)
        answer = row.completion + (self.tokenizer.eos_token or "")
        return [*prompt, *self.tokenizer(answer, add_special_tokens=False)["input_ids"]], len(
            prompt
        )

    def _rendered(self, row: Row, messages: list[dict[str, str]], **options: Any) -> list[int]:
        try:
            encoding = self.tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, **options
            )
        except Exception as error:  # a stranger's template in a library's hands
            raise self._refusal(row, error) from None
        return list(encoding["input_ids"])

    def _refusal(self, row: Row, error: Exception) -> LabError:
        """Return the line on a row that the chat template does not take."""
        reason = shorten(last_line(error), 120)
        what = "a system message, and the" if row.system else "a form that the"
        return LabError(
            f"dataset: the row {shorten(row.prompt)} has {what} chat template of "
            f"{self._model} refuses: {reason}"
        )


def check_rows_within_tables(model: Any, name: str, encoder: Encoder, rows: Sequence[Row]) -> None:
    """Raise `LabError` for a row of whose tokens or positions the model's tables know nothing."""
    seen = {id(row): (row, encoder.encode(row).input_ids) for row in rows}
    _check_tokens(model, name, seen.values())
    places = _places(model)
    longest = max((len(ids) for _, ids in seen.values()), default=0)
    if places is not None and longest > places:
        raise LabError(
            f"max_length: {encoder.max_length} lets a row of {longest:,} tokens through, and "
            f"{name} has {places:,} positions; set max_length to {places} or less"
        )


def check_prompts_within_tables(
    model: Any, name: str, encoder: Encoder, rows: Sequence[Row], new_tokens: int
) -> None:
    """Raise `LabError` where an answer of `new_tokens` goes beyond the model's tables."""
    asked = list(zip(rows, encoder.prompts_ids(rows), strict=True))
    _check_tokens(model, name, asked)
    places = _places(model)
    longest = max((len(ids) for _, ids in asked), default=0)
    if places is not None and longest and longest + new_tokens > places:
        raise LabError(
            f"eval_tokens: {new_tokens} after a prompt of {longest:,} tokens is beyond the "
            f"{places:,} positions of {name}; set eval_tokens lower, or eval_rows to 0"
        )


def _check_tokens(model: Any, name: str, rows: Iterable[tuple[Row, list[int]]]) -> None:
    size = vocabulary_of(model)
    for row, ids in rows:
        if ids and max(ids) >= size:
            raise LabError(
                f"model: the tokenizer of {name} gives token {max(ids):,} for the row "
                f"{shorten(row.prompt)}, and its vocabulary has {size:,}: they do not belong "
                "together"
            )


def _places(model: Any) -> int | None:
    """Return how many positions a model with a learnt table of them has; None without a table.

    The table lies beside that of the tokens; those of an image's or a sound's encoder count other
    things. Rotary and relative positions have no end of their own.
    """
    from torch import nn

    config = model.config.get_text_config()
    declared = [getattr(config, name, None) for name in POSITION_TABLES]
    counts = [count for count in declared if isinstance(count, int)]
    tokens = model.get_input_embeddings()
    for parent in model.modules():
        children = dict(parent.named_children())
        if not any(child is tokens for child in children.values()):
            continue
        for leaf, child in children.items():
            if isinstance(child, nn.Embedding) and ("pos" in leaf or leaf == "wpe"):
                return min([*counts, child.num_embeddings])
    return None


def check_tokenizer(tokenizer: Any, name: str) -> None:
    """Raise `LabError` for a tokenizer with neither a padding nor an end token."""
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise LabError(
            f"model: the tokenizer of {name} has neither an end nor a padding token, and training "
            "needs one; name it in tokenizer_config.json as eos_token"
        )


def nothing_fits(rows: Sequence[Row], encoder: Encoder) -> LabError:
    """Return the error for rows of none of which an answer's token fits."""
    shortest = min(rows, key=lambda row: encoder.encode(row).tokens)
    needed = encoder.encode(shortest).tokens
    if needed <= encoder.max_length:
        return LabError(
            f"dataset: none of the {len(rows):,} training rows has an answer once it is put in the "
            "form that the model reads; its chat template may leave the answer out"
        )
    return LabError(
        f"max_length: {encoder.max_length} leaves no token of an answer in any of the "
        f"{len(rows):,} training rows; the shortest row takes {needed:,}"
    )


def rows_beyond(max_length: int, split: str, fit: Fit) -> str | None:
    """Return a line on the rows of a split that do not fit into `max_length`; None if all do."""
    parts = []
    if fit.dropped:
        parts.append(f"{fit.dropped} of {fit.used + fit.dropped} dropped, their prompts fill it")
    if fit.cut:
        parts.append(f"{fit.cut} cut, which learn no end of their answers")
    return f"{split} rows beyond max_length {max_length}: {'; '.join(parts)}" if parts else None


def _learns(encoded: Encoded) -> bool:
    return any(label != NOT_LEARNT for label in encoded.labels)
