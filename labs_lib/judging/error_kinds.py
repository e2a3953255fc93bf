"""Wrong answers sorted by what is wrong with them, as far as a rule can tell."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs_lib import data
from labs_lib.errors import LabError, choice_error
from labs_lib.judging.intervals import wilson_interval
from labs_lib.judging.metrics import labels_of, named_labels, plain
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.data import Row

KINDS = {
    "right": "the expected answer; white space does not count",
    "empty": "no letter and no digit",
    "cut off": "ends where the limit of new tokens did",
    "wrong format": "no JSON object, other fields, no label of the set or several",
    "wrong label": "another label of the set",
    "wrong fields": "the right fields, with a wrong value in one",
    "copied": "repeats the prompt",
    "other wording": "holds the expected answer or comes near it: read it yourself",
    "wrong": "another answer",
}
"""Each kind, in one line; the first that fits is an answer's kind."""

NEAR = 85
"""`rapidfuzz.fuzz.ratio` of 0 to 100 from which on a text comes near another."""
MOST_OF_PROMPT = 0.6
"""Share of a prompt's characters from which on an answer within it repeats it."""


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
        found = Counter(case.kind for case in self.cases)
        return {kind: found[kind] for kind in KINDS}

    def of(self, kind: str) -> list[ErrorCase]:
        """Return the answers of a kind; `LabError` for a kind that is none."""
        if kind not in KINDS:
            raise choice_error("kind", kind, KINDS)
        return [case for case in self.cases if case.kind == kind]

    def confusions(self) -> dict[tuple[str, str], int]:
        """Return (expected label, answered label) → count, the most frequent first."""
        pairs = Counter(
            (case.row.completion.strip(), case.detail) for case in self.of("wrong label")
        )
        return dict(pairs.most_common())

    def table(self) -> Table:
        """Return a table of the kinds that occur: rows, share with its 95 % interval, meaning."""
        lines = []
        for kind, count in self.counts.items():
            if count:
                low, high = wilson_interval(count, len(self.cases))
                share = f"{count / len(self.cases):.0%} ({low:.0%} to {high:.0%})"
                lines.append((kind, count, share, KINDS[kind]))
        return Table.of(("kind", "rows", "share (95 % interval)", "what it means"), lines)

    def examples(self, each: int = 2) -> Table:
        """Return a table with up to `each` answers of every kind of error."""
        lines = [
            (
                kind,
                _short(case.row.prompt),
                _short(case.row.completion),
                _short(case.answer),
                case.detail,
            )
            for kind in KINDS
            if kind != "right"
            for case in self.of(kind)[:each]
        ]
        return Table.of(("kind", "prompt", "expected", "answer", "detail"), lines)


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
    if len(rows) != len(answers) or not rows:
        raise LabError(f"answers: {len(answers)} for {len(rows)} rows; give one a row, and a row")
    legal = tuple(labels) if labels is not None else labels_of(rows)
    cases = []
    for row, answer in zip(rows, answers, strict=True):
        full = _fills(answer, tokenizer, max_new_tokens)
        kind, detail = _kind_of(row, answer, legal, full)
        cases.append(ErrorCase(row, answer, kind, detail))
    return ErrorKinds(tuple(cases))


def _kind_of(row: Row, answer: str, labels: Sequence[str], full: bool) -> tuple[str, str]:
    """Return an answer's kind and its detail; `full` where it fills the limit of new tokens."""
    if answer.split() == row.completion.split() or _same_record(row.completion, answer):
        return "right", ""
    if not any(map(str.isalnum, answer)):
        return "empty", ""
    if full:
        return "cut off", "fills the limit of new tokens"
    for look in (_against_record, _against_labels, _against_text):
        if (found := look(row, answer, labels)) is not None:
            return found
    return "wrong", ""


def _against_record(row: Row, answer: str, _labels: Sequence[str]) -> tuple[str, str] | None:
    """Return the kind of an answer where a JSON object is expected."""
    expected, given = data.parsed_json(row.completion), data.parsed_json(answer)
    if expected is None:
        return None
    if given is None:
        opened = answer.lstrip().startswith("{") and answer.count("{") > answer.count("}")
        return (
            ("cut off", "its object does not end") if opened else ("wrong format", "no JSON object")
        )
    if expected.keys() != given.keys():
        missing = ", ".join(key for key in expected if key not in given)
        added = ", ".join(key for key in given if key not in expected)
        parts = [f"lacks {missing}" if missing else "", f"adds {added}" if added else ""]
        return "wrong format", "; ".join(filter(None, parts))
    wrong = [key for key in expected if not _same(expected[key], given[key])]
    return "wrong fields", ", ".join(wrong)


def _against_labels(row: Row, answer: str, labels: Sequence[str]) -> tuple[str, str] | None:
    """Return the kind of an answer where a label of a set is expected."""
    if not labels:
        return None
    expected = row.completion.strip()
    named = named_labels(answer, list(dict.fromkeys([*labels, expected])))
    if not named:
        return "wrong format", "names no label"
    if len(named) > 1:
        return "wrong format", f"names {', '.join(named)}"
    return ("other wording", "") if named[0] == expected else ("wrong label", named[0])


def _against_text(row: Row, answer: str, _labels: Sequence[str]) -> tuple[str, str] | None:
    """Return the kind of a free answer; None where it is neither a copy nor near."""
    from rapidfuzz import fuzz

    prompt, expected, given = plain(row.prompt), plain(row.completion), plain(answer)
    if expected == given:
        return "other wording", "case or punctuation"
    within = given in prompt
    if within and (expected not in prompt or len(given) > MOST_OF_PROMPT * len(prompt)):
        return "copied", ""
    if expected and re.search(rf"(?<!\w){re.escape(expected)}(?!\w)", given):
        return "other wording", "holds the expected answer"
    near = fuzz.ratio(expected, given)
    return ("other wording", f"{near:.0f} % alike") if near >= NEAR else None


def _same_record(expected: str, answer: str) -> bool:
    one, other = data.parsed_json(expected), data.parsed_json(answer)
    return one is not None and other is not None and _same(one, other)


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal, 1, 1.0 and true being three different ones."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _fills(answer: str, tokenizer: Any, max_new_tokens: int | None) -> bool:
    """Return whether an answer is as long as the limit; its stripped white space may be a token."""
    if tokenizer is None or max_new_tokens is None:
        return False
    tokens = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return len(tokens) >= max_new_tokens - 1


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
