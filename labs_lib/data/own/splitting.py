"""Split rows so that what is tested was not trained on: by entity, not by row."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from labs_lib.data.own.entities import entity_values
from labs_lib.data.own.findings import asked, empty_rows, join_prompts, labels_of, plain, row_key
from labs_lib.data.own.near import Groups
from labs_lib.data.own.reading import OwnData
from labs_lib.data.rows import SPLITS, DataSet, Row
from labs_lib.errors import LabError, shorten


def split_by_entity(
    data: OwnData,
    entity: str | None = None,
    *,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> DataSet:
    """Return the rows in train, validation and test, no two of which share an entity.

    `entity` names a field of `meta` (a text, a number, or a list of them); rows that share a value
    stay together, and so do the turns of one conversation and near-duplicate prompts.  Where the
    answers are a few labels, each split gets its share of every label, as far as the groups allow.
    Empty rows and exact duplicates are left out; the set's `notes` say so, and the sizes.  Raises
    LabError for an unknown field, a row without it, and for rows of too few groups.
    """
    shares = _shares(validation, test)
    kept, notes = _kept(data)
    rows = [data.rows[at] for at in kept]
    groups = _groups(rows, [data.places[at] for at in kept], entity)
    parts = _assigned(rows, groups, shares, seed)
    _check(data.name, entity, rows, groups, parts)
    largest = max(map(len, groups))
    notes.append(
        f"{len(rows):,} rows in {len(groups):,} groups by {entity or 'near-duplicate prompts'}, "
        f"the largest of {largest:,} rows; split by seed {seed} into "
        + ", ".join(f"{len(part):,} {split}" for split, part in parts.items())
    )
    train, held, tested = (tuple(rows[at] for at in sorted(parts[split])) for split in SPLITS)
    return DataSet(data.name, train, held, tested, metrics=("exact_match",), notes=tuple(notes))


def _shares(validation: float, test: float) -> dict[str, float]:
    for name, share in (("validation", validation), ("test", test)):
        if not isinstance(share, (int, float)) or not 0 < share < 1:
            raise LabError(f"{name}: {shorten(share)} is no share; legal: above 0 and below 1")
    if validation + test >= 1:
        raise LabError(
            f"validation, test: {validation:g} and {test:g} leave no rows to train on; together "
            "they must be below 1"
        )
    return {"train": 1 - validation - test, "validation": validation, "test": test}


def _kept(data: OwnData) -> tuple[list[int], list[str]]:
    """Return the positions of the rows that can be used, and notes on the others."""
    empty = set(empty_rows(data.rows))
    first: dict[object, int] = {}
    for at, row in enumerate(data.rows):
        if at not in empty:
            first.setdefault(row_key(row), at)
    kept = sorted(first.values())
    copies = len(data.rows) - len(empty) - len(kept)
    notes = [*data.notes]
    for count, what in ((len(empty), "empty"), (copies, "duplicate")):
        if count:
            notes.append(f"{count:,} {what} row{'' if count == 1 else 's'} left out")
    if any(data.splits):
        notes.append("the splits that the file names were not used")
    return kept, notes


def _groups(rows: Sequence[Row], places: Sequence[str], entity: str | None) -> list[list[int]]:
    """Return the positions of the rows that must not be divided, group by group."""
    groups = Groups(len(rows))
    join_prompts(rows, range(len(rows)), groups)
    first: dict[object, int] = {}
    values = entity_values(rows, places, entity) if entity is not None else [()] * len(rows)
    for at, row in enumerate(rows):
        shared = [("prompt", *asked(row)), *(("entity", value) for value in values[at])]
        if "conversation" in row.meta:
            shared.append(("conversation", str(row.meta["conversation"])))
        for value in shared:
            groups.join(first.setdefault(value, at), at)
    members: dict[int, list[int]] = defaultdict(list)
    for at in range(len(rows)):
        members[groups.of(at)].append(at)
    return list(members.values())


def _assigned(
    rows: Sequence[Row], groups: list[list[int]], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Return each split's positions: every group goes where it brings the counts nearest to theirs.

    The counts are those of each label, where the answers are labels; the largest groups go first.
    """
    labeled = bool(labels_of(rows))
    labels = [plain(row.completion) if labeled else "" for row in rows]
    wanted = {
        split: {label: share * count for label, count in Counter(labels).items()}
        for split, share in shares.items()
    }
    have: dict[str, Counter[str]] = {split: Counter() for split in shares}
    parts: dict[str, list[int]] = {split: [] for split in shares}
    mixed = list(groups)
    random.Random(seed).shuffle(mixed)
    for group in sorted(mixed, key=len, reverse=True):
        counts = Counter(labels[at] for at in group)

        def farther(split: str, counts: Counter[str] = counts) -> float:
            """Return what the group adds to the squared distance, relative to what is wanted."""
            return sum(
                count * (count + 2 * (have[split][label] - wanted[split][label]))
                / wanted[split][label]
                for label, count in counts.items()
            )  # fmt: skip

        nearest_split = min(shares, key=farther)
        parts[nearest_split] += group
        have[nearest_split] += counts
    return parts


def _check(
    name: str,
    entity: str | None,
    rows: Sequence[Row],
    groups: list[list[int]],
    parts: Mapping[str, list[int]],
) -> None:
    empty = [split for split, part in parts.items() if not part]
    if not empty:
        return
    by = shorten(entity) if entity else "near-duplicate prompts"
    raise LabError(
        f"{name}: no rows are left for {' and '.join(empty)}: {len(rows):,} different rows form "
        f"{len(groups):,} groups by {by}, the largest of {max(map(len, groups), default=0):,}; "
        "name another field, or collect rows of other entities"
    )
