"""Wrong answers sorted by what is wrong with them, as far as a rule can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.data import Row

KINDS = {
    "right": "the expected answer",
    "other wording": "holds the expected answer or comes near it: read it yourself",
    "empty": "no letter and no digit",
    "cut off": "ends where the limit of new tokens did",
    "copied": "repeats the prompt",
    "wrong format": "no JSON object, other fields, or no label of the set",
    "wrong label": "another label of the set",
    "wrong fields": "the right form, with a wrong value in a field",
    "wrong": "another answer",
}
"""Each kind, in one line; the first that fits is an answer's kind."""


@dataclass(frozen=True)
class ErrorCase:
    """One answer with its kind; `detail` says more, such as the fields that are wrong."""

    row: Row
    answer: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class ErrorKinds:
    """The answers of an evaluation by kind."""

    cases: tuple[ErrorCase, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many answers are of each kind, in the order of `KINDS`; none is left out."""
        raise NotImplementedError

    def of(self, kind: str) -> list[ErrorCase]:
        """Return the answers of a kind; `LabError` for a kind that is none."""
        raise NotImplementedError

    def confusions(self) -> dict[tuple[str, str], int]:
        """Return (expected label, answered label) → count, the most frequent first."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return a table: kind, rows, share with its interval, what it means."""
        raise NotImplementedError

    def examples(self, each: int = 2) -> Table:
        """Return a table with up to `each` answers of every kind of error."""
        raise NotImplementedError


def errors_by_kind(
    rows: Sequence[Row],
    answers: Sequence[str],
    labels: Sequence[str] | None = None,
    tokenizer: Any = None,
    max_new_tokens: int | None = None,
) -> ErrorKinds:
    """Sort the answers to `rows` by kind.

    `labels` are the legal answers of a classification; by default the expected answers, where
    few of them recur. With `tokenizer` and `max_new_tokens` an answer that fills the limit counts
    as cut off; without them only JSON that ends too early does. Raises `LabError` for unlike
    lengths.
    """
    raise NotImplementedError
