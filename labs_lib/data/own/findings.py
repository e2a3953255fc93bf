"""What is found in a data set's rows: gaps, repeats, labels, lengths; what to do is `advice`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labs_lib.data.own.near import Groups, join_near_duplicates
from labs_lib.data.rows import Row
from labs_lib.errors import LabError, last_line

Positions = tuple[tuple[int, ...], ...]

MOST_LABELS = 20
"""Answers of at most so many kinds are labels, if there are four rows of each on average."""

LONGEST_LABEL = 60
LEAST_LABELED = 10
_BATCH = 500


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of each row as training sees it: up to the answer, and all."""

    prompt: list[int]
    whole: list[int]

    @property
    def answer(self) -> list[int]:
        """Return the tokens of the answers, their end tokens with them."""
        return [all_ - asked for asked, all_ in zip(self.prompt, self.whole, strict=True)]


@dataclass(frozen=True)
class Findings:
    """The rows of a data set with what stands out in them, by position."""

    rows: Sequence[Row]
    splits: Sequence[str | None]
    empty: tuple[int, ...]
    distinct: tuple[int, ...]
    duplicates: Positions
    near_duplicates: Positions
    contradictions: Positions
    labels: Counter[str]
    tokens: TokenCounts | None = None
    max_length: int | None = None
    entities: Sequence[frozenset[str]] | None = None


def find(
    rows: Sequence[Row],
    splits: Sequence[str | None],
    tokenizer: Any = None,
    max_length: int | None = None,
    entities: Sequence[frozenset[str]] | None = None,
) -> Findings:
    """Return what is found in the rows; tokens are counted only with a `tokenizer`."""
    empty = empty_rows(rows)
    full = sorted(set(range(len(rows))) - set(empty))
    copies = _grouped(full, lambda at: row_key(rows[at]))
    labels = labels_of([rows[group[0]] for group in copies])
    return Findings(
        rows=rows,
        splits=splits,
        empty=empty,
        distinct=tuple(group[0] for group in copies),
        duplicates=tuple(group for group in copies if len(group) > 1),
        near_duplicates=_near(rows, full),
        contradictions=_contradictions(rows, full),
        labels=labels,
        tokens=count_tokens(rows, tokenizer) if tokenizer is not None else None,
        max_length=max_length,
        entities=entities,
    )


def empty_rows(rows: Sequence[Row]) -> tuple[int, ...]:
    """Return the positions of rows in which a prompt or an answer holds no character."""
    texts = ([row.prompt, row.completion, *sum(row.earlier, ())] for row in rows)
    return tuple(at for at, each in enumerate(texts) if not all(map(str.strip, each)))


def row_key(row: Row) -> Hashable:
    """Return what equal rows share: every text, white space aside."""
    return (*asked(row), plain(row.completion))


def asked(row: Row) -> tuple[str, ...]:
    """Return the texts before the answer, white space aside."""
    return tuple(map(plain, (row.system, *sum(row.earlier, ()), row.prompt)))


def plain(text: str) -> str:
    """Return a text with one blank for every stretch of white space."""
    return " ".join(text.split())


def labels_of(rows: Sequence[Row]) -> Counter[str]:
    """Return how often each answer is given, most frequent first; empty if they are no labels."""
    answers = Counter(plain(row.completion) for row in rows)
    few = len(answers) <= min(MOST_LABELS, len(rows) / 4) and len(rows) >= LEAST_LABELED
    if not few or max(map(len, answers)) > LONGEST_LABEL:
        return Counter()
    return Counter(dict(answers.most_common()))


def join_prompts(rows: Sequence[Row], positions: Sequence[int], groups: Groups) -> None:
    """Join the rows whose prompts are near-duplicates; a conversation is known by its first."""
    first = [at for at in positions if not rows[at].earlier]
    found = Groups(len(first))
    join_near_duplicates([rows[at].prompt for at in first], found)
    for group in found.larger_than_one():
        for at in group[1:]:
            groups.join(first[group[0]], first[at])


def count_tokens(rows: Sequence[Row], tokenizer: Any) -> TokenCounts:
    """Return the tokens of each row, framed by the tokenizer's chat template if it has one.

    Without one a row is plain text: the prompt, then the answer and the end token.
    """
    prompts: list[int] = []
    wholes: list[int] = []
    for start in range(0, len(rows), _BATCH):  # the ids of all rows at once would fill the memory
        batch = rows[start : start + _BATCH]
        if tokenizer.chat_template:
            before = _framed(tokenizer, [row.prompt_messages() for row in batch], True)
            whole = _framed(tokenizer, [row.messages() for row in batch], False)
            for asks, all_ in _framed_counts(tokenizer, before, whole):
                prompts.append(asks)
                wholes.append(all_)
        else:
            texts = ("\n".join(m["content"] for m in row.prompt_messages()) for row in batch)
            before = _token_counts(tokenizer, list(texts), special=True)
            end = tokenizer.eos_token or ""
            after = _token_counts(tokenizer, [row.completion + end for row in batch])
            prompts += before
            wholes += map(sum, zip(before, after, strict=True))
    return TokenCounts(prompts, wholes)


def _framed(tokenizer: Any, chats: list[list[dict[str, str]]], asks: bool) -> list[str]:
    try:
        return tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=asks)
    except Exception as error:  # a stranger's template in a library's hands
        raise LabError(
            f"tokenizer: its chat template does not take these rows: {last_line(error)}"
        ) from None


def _framed_counts(
    tokenizer: Any, before: list[str], whole: list[str]
) -> Iterator[tuple[int, int]]:
    """Yield the tokens of each prompt and of the same with its answer, encoding a text once."""
    encoded = tokenizer(whole, add_special_tokens=False)
    for at, (start, text) in enumerate(zip(before, whole, strict=True)):
        first = None
        if tokenizer.is_fast and text.startswith(start):
            first = encoded.char_to_token(at, len(start))
        if first is None:
            first = len(tokenizer(start, add_special_tokens=False)["input_ids"])
        yield first, len(encoded["input_ids"][at])


def _token_counts(tokenizer: Any, texts: list[str], special: bool = False) -> list[int]:
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=special)["input_ids"]]


def _near(rows: Sequence[Row], full: Sequence[int]) -> Positions:
    groups = Groups(len(rows))
    join_prompts(rows, full, groups)
    found = groups.larger_than_one()
    return tuple(group for group in found if len({plain(rows[at].prompt) for at in group}) > 1)


def _contradictions(rows: Sequence[Row], full: Sequence[int]) -> Positions:
    same = _grouped(full, lambda at: asked(rows[at]))
    return tuple(group for group in same if len({plain(rows[at].completion) for at in group}) > 1)


def _grouped(positions: Iterable[int], key: Callable[[int], Hashable]) -> Positions:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for at in positions:
        groups[key(at)].append(at)
    return tuple(map(tuple, groups.values()))
