"""Metrics for any data set with prompt and answer: each gives an answer 0 to 1."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labs_lib import data
from labs_lib.errors import choice_error

if TYPE_CHECKING:
    from labs_lib.data import DataSet, Row

RowScorer = Callable[["Row", str], float]

METRICS: Mapping[str, str] = {
    "exact": "the answer is the expected text, white space apart",
    "normalized": "the same, with case, quotes, emphasis and outer punctuation apart",
    "label": "the answer names the expected label and no other",
    "json_fields": "F1 over the fields of a JSON object, each with its value",
    "chrf": "chrF: F2 over runs of 1 to 6 characters, in any language",
}
"""Each general metric, in one line."""

MOST_LABELS = 20
LONGEST_LABEL = 40
"""Characters; a longer answer is a text, and no label."""
LONGEST_SHORT_ANSWER = 40
_AROUND = "\"'“”‘’«»`*_ .,;:!?。，！？؟"


def scorer_of(metric: str, data_set: DataSet) -> RowScorer:
    """Return the function (row, answer) → 0 to 1 of a metric.

    `metric` is one of `METRICS` or one of the set's own (`data.scorers`). Raises `LabError` for
    another name.
    """
    general: dict[str, Callable[[], RowScorer]] = {
        "exact": lambda: lambda row, text: float(data.exact_match(row, text)),
        "normalized": lambda: lambda row, text: float(plain(text) == plain(row.completion)),
        "label": lambda: functools.partial(_label_right, labels_of(all_rows(data_set)) or None),
        "json_fields": lambda: fields_right,
        "chrf": _chrf,
    }
    if metric in general:
        return general[metric]()
    own = data.scorers(data_set.name)
    if metric not in own:
        raise choice_error("metric", metric, [*own, *METRICS])
    return lambda row, text: float(own[metric](row, text))


def suggested_metric(data_set: DataSet) -> str:
    """Return the metric that suits the set: a course's set its own first one.

    Else by the form of its answers. JSON objects: "json_fields"; few short answers that recur:
    "label"; other short answers: "normalized"; texts: "chrf".
    """
    if data_set.name in data.SETS:
        return data_set.metrics[0]
    answers = [row.completion for row in all_rows(data_set)]
    if answers and all(data.parsed_json(answer) is not None for answer in answers):
        return "json_fields"
    if labels_of(all_rows(data_set)):
        return "label"
    short = sum(len(answer) <= LONGEST_SHORT_ANSWER for answer in answers)
    return "normalized" if short > 0.9 * len(answers) else "chrf"


def all_rows(data_set: DataSet) -> tuple[Row, ...]:
    """Return the rows of all three splits."""
    return (*data_set.train, *data_set.validation, *data_set.test)


def labels_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the answers that are labels, the most frequent first; none where they are texts.

    Labels are 2 to 20 short answers that recur at least three times on average.
    """
    counts = Counter(row.completion.strip() for row in rows)
    if not 2 <= len(counts) <= MOST_LABELS or counts.total() < 3 * len(counts):
        return ()
    if max(map(len, counts)) > LONGEST_LABEL or any(_is_object(label) for label in counts):
        return ()
    return tuple(label for label, _ in counts.most_common())


def named_labels(text: str, labels: Sequence[str]) -> list[str]:
    """Return the labels that a text names as whole words; a label within a longer one is none.

    "not spam" names that label and not "spam", if both are labels; where it is none, it names
    "spam": no rule here reads a negation.
    """
    by_plain = {plain(label): label for label in labels}
    if (exact := by_plain.get(plain(text))) is not None:
        return [exact]
    longest_first = sorted(filter(None, by_plain), key=len, reverse=True)
    if not longest_first:
        return []
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
    found = re.findall(pattern, plain(text))
    return [by_plain[label] for label in dict.fromkeys(found)]


def fields_right(row: Row, text: str) -> float:
    """Return F1 over the fields of the expected JSON object; 0 where the answer is no object.

    A field is right where its name, its value and the value's type are.
    """
    expected, answer = data.parsed_json(row.completion), data.parsed_json(text)
    if expected is None or answer is None:
        return 0.0
    if not expected and not answer:
        return 1.0
    right = len(_fields(expected) & _fields(answer))
    return 2 * right / (len(expected) + len(answer))


def plain(text: str) -> str:
    """Return `text` in one case, white space made single, outer quotes and punctuation gone."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(_AROUND)


def _fields(record: Mapping[str, Any]) -> set[str]:
    return {json.dumps([key, value], sort_keys=True) for key, value in record.items()}


def _label_right(labels: Sequence[str] | None, row: Row, text: str) -> float:
    legal = dict.fromkeys([*(labels or ()), row.completion.strip()])
    return float(named_labels(text, list(legal)) == [row.completion.strip()])


def _is_object(text: str) -> bool:
    return data.parsed_json(text) is not None


def _chrf() -> RowScorer:
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return lambda row, text: metric.sentence_score(text, [row.completion]).score / 100
