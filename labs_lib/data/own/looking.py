"""Look at a data set before a model does: lengths, repeats, leaks, labels, gaps, personal data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labs_lib.data.own.advice import Advice
from labs_lib.data.own.reading import OwnData
from labs_lib.data.rows import DataSet


@dataclass(frozen=True)
class Look:
    """What was seen in a data set: a table of figures, and `advice` in order of severity.

    `lengths` maps a measure ("prompt, words") to its median, 95th percentile and longest;
    `labels` an answer to its rows, where the answers are a few labels; `duplicates`,
    `near_duplicates` and `contradictions` are groups of rows, by position.
    """

    name: str
    sizes: Mapping[str, int]
    lengths: Mapping[str, tuple[float, float, float]]
    labels: Mapping[str, int]
    duplicates: tuple[tuple[int, ...], ...]
    near_duplicates: tuple[tuple[int, ...], ...]
    contradictions: tuple[tuple[int, ...], ...]
    advice: tuple[Advice, ...]


def look(
    data: OwnData | DataSet,
    tokenizer: Any = None,
    max_length: int | None = None,
    *,
    entity: str | None = None,
) -> Look:
    """Return the figures of a data set, and advice on what to change before training on it.

    With a `tokenizer` lengths are in tokens too, as its chat template frames a row; with
    `max_length` as well, the rows that would be cut are counted.  `entity` names a field of `meta`
    that no two splits should share.  Loads no torch.
    """
    raise NotImplementedError
