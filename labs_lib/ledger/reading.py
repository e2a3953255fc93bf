"""Reading the ledger: every topic's file, checked, with each mistake told by its file."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from labs_lib import paths
from labs_lib.errors import LabError, choice_error, explain_validation, nearest, shorten
from labs_lib.ledger.finding import VERDICTS
from labs_lib.ledger.schema import Claim, Topic
from labs_lib.yamls import read_yaml


def read_topic(path: Path) -> tuple[Claim, ...]:
    """Return the claims of one file; LabError in one line for the first thing wrong in it."""
    content = read_yaml(path)
    try:
        topic = Topic.model_validate(content)
    except ValidationError as error:
        raise explain_validation(error, _part_of(error), path.name) from None
    for each in topic.claims:
        if each.topic != path.stem:
            raise LabError(
                f"{path.name}: id {each.id!r} begins with another file's name; "
                f"here it is {path.stem}.{each.id.partition('.')[2]}"
            )
    return topic.claims


def read_ledger(folder: Path) -> Mapping[str, Claim]:
    """Return id → claim for every file of a folder, in the order of the files' names."""
    ledger: dict[str, Claim] = {}
    for path in sorted(folder.glob("*.yaml")):
        for each in read_topic(path):
            if each.id in ledger:
                raise LabError(f"{path.name}: the id {each.id} is given twice")
            ledger[each.id] = each
    return MappingProxyType(ledger)


def find_claim(claim_id: str) -> Claim:
    """Return the claim with this id; LabError names the nearest one otherwise."""
    ledger = _ledger()
    found = ledger.get(str(claim_id).strip())
    if found is None:
        near = nearest(str(claim_id), ledger)
        raise LabError(f"claim: no {shorten(str(claim_id))} in the ledger{near}")
    return found


def claims(verdict: str | None = None, text: str = "") -> list[Claim]:
    """Return the claims with this verdict whose words include those of `text`; without both, all.

    Raises LabError for an unknown verdict.
    """
    if verdict is not None and verdict not in VERDICTS:
        raise choice_error("verdict", verdict, VERDICTS)
    return [
        each for each in _ledger().values() if verdict in (None, each.verdict) and each.says(text)
    ]


@functools.cache
def _ledger() -> Mapping[str, Claim]:
    return read_ledger(paths.claims_dir())


def _part_of(error: ValidationError) -> type[Claim] | type[Topic]:
    """Return the model whose field names the first mistake may be near to."""
    return Claim if len(error.errors()[0]["loc"]) > 2 else Topic
