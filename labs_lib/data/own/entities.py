"""What a row is about: the values of the field that a student names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labs_lib.data.rows import Row
from labs_lib.errors import LabError, nearest, shorten


def entity_values(rows: Sequence[Row], places: Sequence[str], entity: str) -> list[frozenset[str]]:
    """Return each row's values of the field `entity` of its `meta`, as text without case.

    A list counts as several values.  Raises LabError where no row has the field, and for the rows
    in which it is empty.
    """
    fields = list(dict.fromkeys(str(name) for row in rows for name in row.meta))
    if entity not in fields:
        has = f"the rows have {shorten(', '.join(fields))}" if fields else "the rows have no fields"
        raise LabError(
            f"entity: no row has a field {shorten(entity)} beside prompt and completion; "
            f"{has}{nearest(entity, fields)}"
        )
    values = [_values(row.meta.get(entity)) for row in rows]
    if without := [place for place, found in zip(places, values, strict=True) if not found]:
        more = f" and {len(without) - 3:,} more" if len(without) > 3 else ""
        raise LabError(
            f"entity: {shorten(entity)} is empty at {', '.join(without[:3])}{more}; fill it in, or "
            "leave these rows out"
        )
    return values


def _values(value: Any) -> frozenset[str]:
    listed = value if isinstance(value, (list, tuple, set)) else [value]
    texts = (" ".join(str(each).split()).casefold() for each in listed if each is not None)
    return frozenset(text for text in texts if text)
