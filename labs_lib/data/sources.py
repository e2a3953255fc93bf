"""Find the data set that a recipe names."""

from __future__ import annotations

from pathlib import Path

from labs_lib.data.bundled import SETS, load_set
from labs_lib.data.readers import (
    JSON_SUFFIXES,
    TABLE_SUFFIXES,
    expanded,
    from_csv,
    from_hub_or_local,
    from_jsonl,
    is_file,
    is_folder,
)
from labs_lib.data.rows import DataSet
from labs_lib.errors import LabError, choice_error, nearest, shorten


def resolve(dataset: str, *, seed: int = 0) -> DataSet:
    """Return the data set that `dataset` names: a set of the course, a file, a folder, a hub name.

    A file ends in .jsonl, .json, .ndjson, .csv or .tsv.  A name near one of the course's sets is
    taken for a slip and not looked for on a hub.  `seed` draws the validation rows of data that
    has none.
    """
    if not isinstance(dataset, str) or not dataset.strip():
        raise LabError(f"dataset: {shorten(dataset)} is no name; legal: {', '.join(SETS)}, a path")
    if dataset in SETS:
        return load_set(dataset)
    suffix = Path(dataset).suffix.lower()
    if suffix in JSON_SUFFIXES:
        return from_jsonl(dataset, seed=seed)
    if suffix in TABLE_SUFFIXES:
        return from_csv(dataset, seed=seed)
    path = expanded(dataset)
    folder = is_folder(path)
    if not folder and (is_file(path) or suffix in _OTHER_FILES):
        raise LabError(f"dataset: {dataset}: a file must end in .jsonl or .csv{_advice(suffix)}")
    if "/" not in dataset and nearest(dataset, SETS) and not folder:
        raise choice_error("dataset", dataset, SETS)
    return from_hub_or_local(dataset, seed=seed)


_OTHER_FILES = (".txt", ".parquet", ".arrow", ".xlsx", ".xls", ".ods", ".zip", ".gz", ".bz2",
                ".xz", ".zst", ".yaml", ".yml", ".md", ".pkl", ".pickle")  # fmt: skip


def _advice(suffix: str) -> str:
    if suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
        return "; unpack it first"
    if suffix in (".parquet", ".arrow"):
        return "; put it into a folder of its own and name that"
    if suffix in (".xlsx", ".xls", ".ods"):
        return "; save the sheet as CSV (UTF-8)"
    return ""
