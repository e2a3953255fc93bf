"""Folders of rows: their tables, what holds no rows, and what was not meant."""

from __future__ import annotations

import pytest
from test_data_forms import Q1, Q2, write

from labs_lib.data import readers, resolve
from labs_lib.errors import LabError


def test_a_folders_tables_are_read_as_single_tables_are(tmp_path):
    """By `datasets`, 007 is the number 7, NA is nothing, and a semicolon is text."""
    write(tmp_path, "train.csv", "prompt;completion\nq1;007\nq2;NA\n")
    write(tmp_path, "test.csv", "prompt;completion\nq3;null\n")
    found = resolve(str(tmp_path))
    assert {row.prompt: row.completion for row in (*found.train, *found.validation)} == {
        "q1": "007",
        "q2": "NA",
    }
    assert [row.completion for row in found.test] == ["null"]


@pytest.mark.parametrize("files", [[], ["readme.md"], ["a.py"], [".hidden.jsonl"]], ids=" ".join)
def test_a_folder_without_rows_is_one_line(tmp_path, files):
    for name in files:
        write(tmp_path, name, "text")
    with pytest.raises(LabError, match=r"no \.jsonl, \.csv or \.parquet file in the folder$"):
        resolve(str(tmp_path))


def test_a_folder_that_was_not_meant_is_left_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MOST_FILES", 3)
    for number in range(5):
        write(tmp_path, f"{number}.jsonl", f"{Q1}\n{Q2}")
    with pytest.raises(LabError, match="more than 3 files; name the folder that holds the data"):
        resolve(str(tmp_path))


def test_a_file_that_is_not_there_is_not_meant_by_its_own_name(tmp_path):
    (tmp_path / "rows.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(LabError) as raised:
        resolve(str(tmp_path / "rows.csv"))
    assert "did you mean" not in str(raised.value)
