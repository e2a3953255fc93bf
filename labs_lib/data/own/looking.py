"""Look at a data set before a model does: lengths, repeats, leaks, labels, gaps, personal data."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Any

from labs_lib.data.own.advice import Advice, advise
from labs_lib.data.own.entities import entity_values
from labs_lib.data.own.findings import Findings, Positions, find
from labs_lib.data.own.reading import OwnData
from labs_lib.data.rows import SPLITS, DataSet
from labs_lib.errors import LabError, shorten
from labs_lib.tables import Table

_SHOWN_PLACES = 5
_WIDTH = 96


@dataclass(frozen=True, repr=False)
class Look:
    """What was seen in a data set: a table of figures, and `advice` in order of severity.

    `lengths` maps a measure ("prompt, words") to its median, 95th percentile and longest;
    `labels` an answer to its different rows, where the answers are a few labels; `duplicates`,
    `near_duplicates` and `contradictions` are groups of rows, by position; `places[i]` says where
    row `i` stands.
    """

    name: str
    sizes: Mapping[str, int]
    lengths: Mapping[str, tuple[float, float, float]]
    labels: Mapping[str, int]
    duplicates: Positions
    near_duplicates: Positions
    contradictions: Positions
    advice: tuple[Advice, ...]
    places: tuple[str, ...]

    def of_kind(self, kind: str) -> tuple[Advice, ...]:
        """Return the advice of one kind, such as "duplicates" or "leak"."""
        return tuple(advice for advice in self.advice if advice.kind == kind)

    def figures(self) -> Table:
        """Return how long the rows are, as a table."""
        return Table.of(
            ("length of", "median", "95 % up to", "longest"),
            [(name, *(f"{each:,.0f}" for each in row)) for name, row in self.lengths.items()],
        )

    def to_do(self) -> Table:
        """Return the advice as a table, with the first places of each."""
        return Table.of(
            ("severity", "about", "what was found, what to do", "where"),
            [(each.severity, each.kind, each.sentence, self._where(each)) for each in self.advice],
        )

    def _where(self, advice: Advice) -> str:
        shown = ", ".join(self.places[at] for at in advice.rows[:_SHOWN_PLACES])
        more = len(advice.rows) - _SHOWN_PLACES
        return f"{shown} and {more:,} more" if more > 0 else shown

    def _heading(self) -> str:
        sizes = ", ".join(f"{count:,} {split}" for split, count in self.sizes.items())
        return f"{self.name}: {len(self.places):,} rows ({sizes})"

    def _labels(self) -> str:
        counts = ", ".join(f"{shorten(label)} {count:,}" for label, count in self.labels.items())
        return f"Labels, by their different rows: {counts}" if counts else ""

    def __repr__(self) -> str:
        lines = [self._heading(), repr(self.figures())]
        lines += textwrap.wrap(self._labels(), _WIDTH)
        for each in self.advice:
            where = self._where(each)
            text = f"{each.severity}: {each.kind}: {each.sentence}{f' ({where})' if where else ''}"
            lines += textwrap.wrap(text, _WIDTH, subsequent_indent="    ")
        return "\n".join(lines if self.advice else [*lines, _NOTHING])

    def _repr_html_(self) -> str:
        texts = [f"<p>{escape(self._heading())}</p>", self.figures()._repr_html_()]
        if self.labels:
            texts.append(f"<p>{escape(self._labels())}</p>")
        texts.append(self.to_do()._repr_html_() if self.advice else f"<p>{_NOTHING}</p>")
        return "".join(texts)


_NOTHING = "None of the checks found anything. They cannot know whether the answers are right."


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
    that no two splits should share.  Loads no torch.  Raises LabError for a field that is not
    there and for a `max_length` without a tokenizer.
    """
    if max_length is not None and tokenizer is None:
        raise LabError("max_length: it counts tokens; give the model's tokenizer too")
    own = data if isinstance(data, OwnData) else _as_own(data)
    entities = entity_values(own.rows, own.places, entity) if entity is not None else None
    found = find(own.rows, own.splits, tokenizer, max_length, entities)
    return Look(
        name=own.name,
        sizes={
            **{split: own.splits.count(split) for split in SPLITS if split in own.splits},
            **({"in no split": own.splits.count(None)} if None in own.splits else {}),
        },
        lengths=_lengths(found),
        labels=dict(found.labels),
        duplicates=found.duplicates,
        near_duplicates=found.near_duplicates,
        contradictions=found.contradictions,
        advice=advise(found),
        places=own.places,
    )


def _as_own(data: DataSet) -> OwnData:
    numbered = [
        (row, f"{split} row {number}", split)
        for split in SPLITS
        for number, row in enumerate(data.split(split), start=1)
    ]
    rows, places, splits = zip(*numbered, strict=True) if numbered else ((), (), ())
    return OwnData(data.name, rows, places, splits)


def _lengths(found: Findings) -> dict[str, tuple[float, float, float]]:
    parts = {
        "prompt": [
            " ".join([*sum(row.earlier, ()), row.prompt]) if row.earlier else row.prompt
            for row in found.rows
        ],
        "answer": [row.completion for row in found.rows],
    }
    counts: dict[str, Sequence[int]] = {}
    for part, texts in parts.items():
        counts[f"{part}, characters"] = [len(text) for text in texts]
        counts[f"{part}, words"] = [len(text.split()) for text in texts]
    if found.tokens is not None:
        counts["prompt, tokens"] = found.tokens.prompt
        counts["answer, tokens"] = found.tokens.answer
        counts["row, tokens"] = found.tokens.whole
    return {name: _spread(numbers) for name, numbers in counts.items() if numbers}


def _spread(numbers: Sequence[int]) -> tuple[float, float, float]:
    """Return the median, the 95th percentile (nearest rank) and the largest."""
    ordered = sorted(numbers)
    rank = -(-95 * len(ordered) // 100)
    return median(ordered), ordered[rank - 1], ordered[-1]
