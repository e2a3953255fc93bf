"""Split rows so that what is tested was not trained on: by entity, not by row."""

from __future__ import annotations

from labs_lib.data.own.reading import OwnData
from labs_lib.data.rows import DataSet


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
    raise NotImplementedError
