"""Folders of rows: their tables, what holds no rows, and what was not meant."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize(
    "answers",
    [
        ["2024-01-01", "2024-01-02"], ["2024-01-01T00:00:00Z"] * 2, ["007", "08"], ["NA", "null"],
        ["12:30", "13:00"], ["1.10", "1e3"], ["true", "false"], [" x", "x "],
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("name", ["train.jsonl", "a.ndjson", "a.json", "deep/train.json"])
def test_a_folders_json_says_what_stands_in_it(tmp_path, name, answers):
    """By `datasets`, a date is no text, and text in an array is a number where it can be."""
    rows = [
        {"prompt": f"q{number}", "completion": answer, "note": answer}
        for number, answer in enumerate(answers)
    ]
    text = json.dumps(rows) if name == "a.json" else "\n".join(map(json.dumps, rows))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write(tmp_path, name, text)
    write(tmp_path, "dataset_infos.json", "{}")
    found = resolve(str(tmp_path))
    read = {row.prompt: row for row in (*found.train, *found.validation)}
    assert [read[f"q{number}"].completion for number in range(2)] == answers
    assert [read[f"q{number}"].meta["note"] for number in range(2)] == answers


@pytest.mark.parametrize("folder", ["test", "eval-2026", "my validation data"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_folders_own_name_tells_no_split(tmp_path, folder, suffix):
    made = tmp_path / folder
    (made / "test").mkdir(parents=True)
    rows = {"csv": "prompt,completion\nq1,a\nq2,b\n", "jsonl": f"{Q1}\n{Q2}"}[suffix]
    write(made, f"rows.{suffix}", rows)
    write(made / "test", f"more.{suffix}", rows.replace("q", "t"))
    found = resolve(str(made))
    assert (len(found.train), len(found.validation), len(found.test)) == (1, 1, 2)


def test_tables_beside_parquet_are_not_read_without_it(tmp_path):
    write(tmp_path, "train.csv", "prompt,completion\nq1,a\nq2,b\n")
    write(tmp_path, "more.parquet", "PAR1")
    with pytest.raises(LabError, match="give each kind a folder of its own"):
        resolve(str(tmp_path))


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
