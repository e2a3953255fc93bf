"""Read a student's own rows, from JSONL, CSV or `datasets`, with errors that name the row."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_lib.data.records import Read, check_names, records_to_rows
from labs_lib.data.rows import SPLITS, DataSet, Row
from labs_lib.data.tables import table_records
from labs_lib.errors import LabError, first_line, nearest, shorten
from labs_lib.texts import NotTextError, decode, read_bytes

VALIDATION_SHARE = 0.1
MOST_FILES = 10_000
LARGEST_BYTES = 4 * 2**30
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
_LIBRARYS = (".parquet", ".arrow")
# What `datasets` and the hub put beside the rows.
_DESCRIPTIONS = ("config.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json",
                 "state.json")  # fmt: skip

# How files begin that are no text, whatever their name says.
_BINARIES = {
    b"PK\x03\x04": "an Excel workbook or a zip archive; save the sheet as CSV (UTF-8)",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstandard; unpack it first",
    b"BZh": "compressed by bzip2; unpack it first",
    b"\xfd7zXZ": "compressed by xz; unpack it first",
    b"PAR1": "Parquet; put it into a folder of its own and name that",
    b"ARROW1": "Arrow; put it into a folder of its own and name that",
    b"SQLite format": "an SQLite database; export the table as CSV",
    b"%PDF": "a PDF; the course reads .jsonl and .csv",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV (UTF-8)",
}
# Which split a file of a folder is, by its name; as `datasets` goes by it.
_SPLIT_NAMES = {
    "train": r"train(ing)?", "validation": r"validation|valid|val|dev",
    "test": r"test(ing)?|eval(uation)?",
}  # fmt: skip


def from_jsonl(path: str | Path, *, seed: int = 0) -> DataSet:
    """Read a JSONL file: one object a line, with `prompt` and `completion`, or `messages`.

    Alpaca's `instruction`, `input` and `output` and ShareGPT's `conversations` are read too, and
    a file that is one JSON array.  A conversation of several answers becomes a row for each, with
    the earlier turns in `Row.earlier`.  A `split` field (train, validation, test) is honoured;
    without one, a tenth of the rows (at least one) is held out for validation, drawn by `seed`.
    Other fields go to `meta`.  Exact duplicates are left out and noted.  Raises LabError naming the
    file and line.
    """
    path = existing_file(path)
    return _assembled(path.stem, records_to_rows(path.name, _json_records(path)), seed)


def file_records(
    path: Path, renamed: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (place, fields) for each record of a JSON file or a table, as its ending tells.

    `renamed` maps a field's name to the one that the course knows.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        return table_records(path.name, _text(path), renamed)
    records = _json_records(path)
    return with_names(path.name, records, renamed) if renamed else records


def with_names(
    name: str, records: Iterable[tuple[str, Mapping[str, Any]]], renamed: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the records with their fields renamed; LabError for one without such a field."""
    for where, fields in records:
        check_names(f"{name}, {where}", fields, renamed)
        yield where, {renamed.get(field, field): value for field, value in fields.items()}


def from_csv(path: str | Path, *, seed: int = 0) -> DataSet:
    """Read a CSV file whose header names at least `prompt` and `completion`; see `from_jsonl`.

    The cells are separated by commas, semicolons, tabs or bars.
    """
    path = existing_file(path)
    records = table_records(path.name, _text(path))
    return _assembled(path.stem, records_to_rows(path.name, records), seed)


def from_hub_or_local(name: str, *, seed: int = 0) -> DataSet:
    """Load a local folder, or what `datasets.load_dataset` knows by `name` on a hub.

    Columns `prompt` and `completion`, or `messages`; splits train, validation and test, of
    which only train must be there.  No code of the data set's is run.  A folder's tables and JSON
    files are read as single ones are, and the file's name tells the split; the library reads
    Parquet, Arrow and compressed files.
    """
    folder = expanded(name)
    local = is_folder(folder)
    files = _walked(folder) if local else []
    own = _own_files(files)
    librarys = any(file.suffix.lower() in _LIBRARYS for file in files)
    tables = any(file.suffix.lower() in TABLE_SUFFIXES for file in own)
    if tables and librarys:
        raise LabError(
            f"dataset: {name}: tables beside Parquet or Arrow; give each kind a folder of its own"
        )
    if own and not librarys:
        # The library makes dates of text such as 2024-01-01, numbers of 007 and nothing of NA.
        return _assembled(folder.name, _rows_of_files(folder, own), seed)
    import datasets

    try:
        loaded: Any = datasets.load_dataset(str(folder) if local else name)
    except Exception as error:  # The library raises many kinds, each with a long text.
        if local and not librarys:
            raise LabError(
                f"dataset: {name}: no .jsonl, .csv or .parquet file in the folder"
            ) from None
        raise LabError(
            f"dataset: cannot load {shorten(name)}: {_reason(error)}; legal: a set of the course,"
            f" a .jsonl or .csv file, a folder, or a hub name{_near_files(folder)}"
        ) from error
    if "train" not in loaded:
        raise LabError(f"dataset {name}: no train split; it has {', '.join(map(str, loaded))}")

    def numbered() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for split in SPLITS:
            for number, fields in enumerate(loaded.get(split, []), start=1):
                yield f"{split} row {number}", {**fields, "split": split}

    return _assembled(name, records_to_rows(f"dataset {name}", numbered()), seed)


def read_rows(path: Path) -> list[Row]:
    """Read every row of a JSONL file, in order, its `meta` as it stands."""
    return [read.row for read in records_to_rows(path.name, _json_records(path))]


def expanded(path: str | Path) -> Path:
    """Return the path with `~` written out; LabError for another user's that is not there."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~nobody/…
        raise LabError(f"dataset: {path}: no such user's home folder") from None


def is_file(path: Path) -> bool:
    """Return whether there is such a file; False where the system refuses to look."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder; False where the system refuses to look."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def existing_file(path: str | Path) -> Path:
    """Return the file's path; LabError, with the nearest name, where there is none."""
    path = expanded(path)
    try:
        found, folder = path.is_file(), path.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"cannot read {str(path)[:300]}: {reason}") from None
    if folder:
        raise LabError(f"dataset: {path} is a folder; name the file in it, or rename the folder")
    if not found:
        raise LabError(f"dataset: no file {path}{_near_files(path)}")
    return path


def _near_files(path: Path) -> str:
    try:
        beside = {each.name for each in path.parent.glob("*")} - {path.name}
        return nearest(path.name, sorted(beside))
    except (OSError, ValueError):
        return ""


def _text(path: Path) -> str:
    content = read_bytes(path, LARGEST_BYTES)
    for start, kind in _BINARIES.items():
        if content.startswith(start):
            raise LabError(f"{path.name} is {kind}")
    try:
        return decode(content)
    except NotTextError as error:
        raise LabError(f"{path.name}, line {error.line}: {error.reason}") from None


def _json_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = _text(path)
    if re.match(r"\s*\[\s*([{\]]|$)", text):
        yield from _array_records(path, text)
        return
    # No text of JSON holds a raw line end, so that any of the three ends a line.
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line.strip():
            where = f"line {number}"
            fields = _json(f"{path.name}, {where}", line, "; one whole object a line")
            if not isinstance(fields, dict):
                raise LabError(
                    f"{path.name}, {where}: {shorten(fields)} is not an object with prompt and"
                    " completion"
                )
            yield where, fields


def _array_records(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of a file that is one JSON array."""
    for number, fields in enumerate(_json(path.name, text), start=1):
        if not isinstance(fields, dict):
            raise LabError(
                f"{path.name}, row {number}: {shorten(fields)} is not an object with prompt and"
                " completion"
            )
        yield f"row {number}", fields


def _json(place: str, text: str, advice: str = "") -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise LabError(f"{place}: {shorten(twice)} stands twice in one object")
        return fields

    try:
        return json.loads(text, object_pairs_hook=once)
    except LabError:
        raise
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        reason = f"{error.msg} at {line}column {error.colno}"
        raise LabError(f"{place}: not JSON: {reason}{advice}") from None
    except (ValueError, RecursionError):
        raise LabError(f"{place}: not JSON: too deep or large") from None


def _own_files(files: list[Path]) -> list[Path]:
    """Return the files that the course reads itself, without those that describe the others."""
    suffixes = (*JSON_SUFFIXES, *TABLE_SUFFIXES)
    return sorted(
        file
        for file in files
        if file.suffix.lower() in suffixes
        and file.name not in _DESCRIPTIONS
        and not file.name.startswith(".")
        and file.is_file()
    )


def _walked(folder: Path) -> list[Path]:
    """Return the files of a folder; LabError for one so large that it was not meant."""
    files: list[Path] = []
    for above, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        files += [Path(above, name) for name in names]
        if len(files) > MOST_FILES:
            raise LabError(
                f"dataset: {folder}: more than {MOST_FILES:,} files; name the folder that holds "
                "the data alone"
            )
    return files


def _rows_of_files(folder: Path, files: list[Path]) -> Iterator[Read]:
    for file in files:
        for read in records_to_rows(file.name, file_records(file)):
            split = read.split or _split_of(folder, file)
            yield read._replace(where=f"{file.name} {read.where}", split=split)


def _split_of(folder: Path, file: Path) -> str:
    """Return the split that a file's name tells, or the name of a folder in `folder`; else train.

    What `folder` itself is called tells nothing: all of its rows are in it.
    """
    names = [file.stem] if file.parent == folder else [file.stem, file.parent.name]
    for name in names:
        words = re.split(r"[^a-z]+", name.lower())
        for split, pattern in _SPLIT_NAMES.items():
            if any(re.fullmatch(pattern, word) for word in words):
                return split
    return "train"


def _reason(error: BaseException) -> str:
    """Return the first line of what went wrong first, where a library wraps one in another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def _assembled(name: str, rows: Iterable[Read], seed: int) -> DataSet:
    """Sort rows into splits, leave out duplicates, and hold some out if none are."""
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    seen: dict[tuple[Any, ...], str] = {}
    duplicates = []
    forms: Counter[str] = Counter()
    for where, row, split, note in rows:
        if note:
            forms[note] += 1
        key = (row.system, row.earlier, row.prompt, row.completion)
        if key in seen:
            duplicates.append(f"{where} (as {seen[key]})")
            continue
        seen[key] = where
        splits[split or "train"].append(row)
    if not splits["train"]:
        raise LabError(f"{name}: no rows to train on{_other_rows(splits)}")
    notes = []
    if duplicates:
        shown = ", ".join(duplicates[:5]) + (" …" if len(duplicates) > 5 else "")
        count = f"{len(duplicates)} duplicate row{'s' if len(duplicates) > 1 else ''}"
        notes.append(f"{count} left out: {shown}")
    if not splits["validation"]:
        if len(splits["train"]) < 2:
            left = f" ({len(duplicates)} equal to it left out)" if duplicates else ""
            raise LabError(
                f"{name}: 1 row; at least 2 are needed, to hold one out for validation{left}"
            )
        everything = splits["train"]
        splits["train"], splits["validation"] = _held_out(everything, seed)
        held = len(splits["validation"])
        notes.append(f"{held} of {len(everything)} rows held out for validation by seed {seed}")
    notes += [note if count == 1 else f"{note} ({count} rows)" for note, count in forms.items()]
    if not splits["test"]:
        notes.append("no test rows; a split field of test makes a row one")
    return DataSet(
        name,
        tuple(splits["train"]),
        tuple(splits["validation"]),
        tuple(splits["test"]),
        metrics=("exact_match",),
        notes=tuple(notes),
    )


def _held_out(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and those to validate on; a conversation is never divided."""
    # A row that names no conversation is one of its own.
    names = [str(row.meta.get("conversation", i)) for i, row in enumerate(rows)]
    conversations = list(dict.fromkeys(names))
    if len(conversations) < 2:
        conversations = names = [str(i) for i in range(len(rows))]
    held = max(1, round(VALIDATION_SHARE * len(conversations)))
    drawn = random.Random(seed).sample(range(len(conversations)), held)
    chosen = {conversations[i] for i in drawn}
    pairs = list(zip(names, rows, strict=True))
    return [r for name, r in pairs if name not in chosen], [r for n, r in pairs if n in chosen]


def _other_rows(splits: Mapping[str, list[Row]]) -> str:
    others = [f"{len(rows)} {split}" for split, rows in splits.items() if rows]
    return f"; {' and '.join(others)} rows" if others else ""
