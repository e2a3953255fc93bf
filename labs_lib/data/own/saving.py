"""Write a data set as a folder that a recipe trains on."""

from __future__ import annotations

from pathlib import Path

from labs_lib.data.rows import SPLITS, DataSet, to_jsonl
from labs_lib.errors import LabError, shorten
from labs_lib.files import expanded, folder_written_aside


def save_data_set(data_set: DataSet, folder: str | Path) -> Path:
    """Write train.jsonl, validation.jsonl and test.jsonl into `folder`, and return its path.

    A recipe takes the folder as its `dataset`.  A folder that was saved before is replaced; one
    that holds anything else raises LabError and stays as it is.
    """
    folder = expanded(folder)
    files = {f"{split}.jsonl": data_set.split(split) for split in SPLITS}
    if folder.exists() and not folder.is_dir():
        raise LabError(f"folder: {folder} is a file; name a folder")
    others = sorted(each.name for each in folder.glob("*") if each.name not in files)
    if others:
        raise LabError(
            f"folder: {folder} holds other files ({shorten(', '.join(others))}), which training "
            "would read too; name a folder of its own"
        )
    with folder_written_aside(folder) as aside:
        for name, rows in files.items():
            if rows:
                text = to_jsonl(rows)
                (aside / name).write_text(text, encoding="utf-8", newline="\n")
    return folder
