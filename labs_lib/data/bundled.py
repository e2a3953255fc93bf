"""The sets that come with the course, each in its folder with its card."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from labs_lib.data import scoring
from labs_lib.data.rows import SPLITS, DataSet
from labs_lib.errors import choice_error

# Each set's metrics; the first is the one that a run reports first.
METRICS: dict[str, dict[str, scoring.Scorer]] = {
    "sea-captain": {
        "in_voice": lambda _row, text: scoring.in_voice(text),
        "fact_right": scoring.fact_right,
    },
    "structured-output": {
        "exactly_right": scoring.exactly_right,
        "valid_json": scoring.valid_json,
    },
    "general-knowledge": {"fact_right": scoring.fact_right},
}
SETS = tuple(METRICS)


def folder_of(name: str) -> Path:
    """Return the folder that holds the set's card and its three JSONL files."""
    return Path(__file__).parent / "sets" / name


@cache
def load_set(name: str) -> DataSet:
    """Return one of the course's own sets; a misspelt name names the nearest."""
    from labs_lib.data.readers import read_rows

    if name not in SETS:
        raise choice_error("dataset", name, SETS)
    train, validation, test = (
        tuple(read_rows(folder_of(name) / f"{split}.jsonl")) for split in SPLITS
    )
    return DataSet(name, train, validation, test, metrics=tuple(METRICS[name]))


def card(name: str) -> dict[str, Any]:
    """Return the set's card: what it is, its licence, how it was made, its metrics and sizes."""
    from labs_lib.yamls import read_yaml

    if name not in SETS:
        raise choice_error("dataset", name, SETS)
    return read_yaml(folder_of(name) / "card.yaml")


@cache
def general_text() -> tuple[str, ...]:
    """Return passages of plain English, one string each, on which ordinary text's loss is taken."""
    from labs_lib.yamls import read_yaml

    return tuple(read_yaml(Path(__file__).parent / "general_text.yaml"))


def scorers(name: str) -> dict[str, scoring.Scorer]:
    """Return metric name → function (row, answer) → bool; a set of your own gets exact_match."""
    return dict(METRICS.get(name, {"exact_match": scoring.exact_match}))
