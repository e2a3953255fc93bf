"""Read a student's file as it is: every row kept, its faults with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.data.readers import (
    JSON_SUFFIXES,
    TABLE_SUFFIXES,
    existing_file,
    file_records,
    with_names,
)
from labs_lib.data.records import records_to_rows
from labs_lib.data.rows import Row
from labs_lib.errors import LabError, first_line

PARQUET = ".parquet"
_LEGAL = (*JSON_SUFFIXES, *TABLE_SUFFIXES, PARQUET)


@dataclass(frozen=True)
class OwnData:
    """The rows of a file in their order, faults and all.

    `rows[i]` was found at `places[i]` ("line 7"), and its file put it into the split `splits[i]`,
    None where it named none.  `notes` are remarks made while reading.
    """

    name: str
    rows: tuple[Row, ...]
    places: tuple[str, ...]
    splits: tuple[str | None, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        named = Counter(split for split in self.splits if split)
        splits = ", ".join(f"{count:,} {split}" for split, count in named.items())
        return f"{self.name}: {len(self.rows):,} rows, {splits or 'in no splits'}"


def read_own(
    path: str | Path, *, prompt: str = "prompt", completion: str = "completion"
) -> OwnData:
    """Read a file of rows: .jsonl, .json, .ndjson, .csv, .tsv or .parquet.

    The forms are those of `from_jsonl`: prompt and completion, `messages`, Alpaca, ShareGPT.
    Where the two columns have other names, `prompt` and `completion` say which.  A conversation
    of several answers becomes a row per answer, with the earlier turns in `Row.earlier`.  Other
    columns go to `meta`.  Unlike a training run, this keeps rows that are empty or stand twice,
    so that `look` can find them.  Raises LabError naming the file and line.
    """
    path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix not in _LEGAL:
        raise LabError(f"{path.name}: a file must end in {', '.join(_LEGAL)}")
    named = {"prompt": prompt, "completion": completion}
    renamed = {theirs: ours for ours, theirs in named.items() if theirs != ours}
    if suffix == PARQUET:
        records = with_names(path.name, _parquet_records(path), renamed)
    else:
        records = file_records(path, renamed)
    reads = list(records_to_rows(path.name, records, keep_empty=True))
    if not reads:
        raise LabError(f"{path.name}: no rows")
    notes = Counter(read.note for read in reads if read.note)
    return OwnData(
        path.stem,
        tuple(read.row for read in reads),
        tuple(read.where for read in reads),
        tuple(read.split for read in reads),
        tuple(f"{note} ({count:,} of {len(reads):,} rows)" for note, count in notes.items()),
    )


def _parquet_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise LabError(f"{path.name}: cannot be read as Parquet: {first_line(error)}") from None
    number = 0
    for batch in table.to_batches(max_chunksize=1000):  # not all rows as objects at once
        for fields in batch.to_pylist():
            number += 1
            yield f"row {number}", fields
