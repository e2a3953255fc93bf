"""Find the data set that a recipe names."""

from __future__ import annotations

from pathlib import Path

from labs_lib.data.bundled import SETS, load_set
from labs_lib.data.readers import from_csv, from_hub_or_local, from_jsonl
from labs_lib.data.rows import DataSet
from labs_lib.errors import LabError, choice_error, nearest, shorten


def resolve(dataset: str, *, seed: int = 0) -> DataSet:
    """Return the data set that `dataset` names: a set of the course, a file, a folder, a hub name.

    A path ends in .jsonl or .csv.  A name near one of the course's sets is taken for a slip and
    not looked for on a hub.  `seed` draws the validation rows of data that has none.
    """
    if not isinstance(dataset, str) or not dataset.strip():
        raise LabError(f"dataset: {shorten(dataset)} is no name; legal: {', '.join(SETS)}, a path")
    if dataset in SETS:
        return load_set(dataset)
    suffix = Path(dataset).suffix.lower()
    if suffix in (".jsonl", ".csv"):
        return (from_jsonl if suffix == ".jsonl" else from_csv)(dataset, seed=seed)
    path = Path(dataset).expanduser()
    if path.is_file() or suffix in (".json", ".tsv", ".txt", ".parquet", ".xlsx", ".zip"):
        raise LabError(f"dataset: {dataset}: a file must end in .jsonl or .csv")
    if "/" not in dataset and nearest(dataset, SETS) and not path.is_dir():
        raise choice_error("dataset", dataset, SETS)
    return from_hub_or_local(dataset, seed=seed)
