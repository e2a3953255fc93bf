"""Write a data set as a folder that a recipe trains on."""

from __future__ import annotations

from pathlib import Path

from labs_lib.data.rows import DataSet


def save_data_set(data_set: DataSet, folder: str | Path) -> Path:
    """Write train.jsonl, validation.jsonl and test.jsonl into `folder`, and return its path.

    A recipe takes the folder as its `dataset`.  A folder that was saved before is replaced; one
    that holds anything else raises LabError and stays as it is.
    """
    raise NotImplementedError
