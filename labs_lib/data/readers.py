"""Read a student's own rows, from JSONL, CSV or `datasets`, with errors that name the row."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labs_lib.data.rows import SPLITS, DataSet, Row
from labs_lib.errors import LabError, nearest, shorten

VALIDATION_SHARE = 0.1


def from_jsonl(path: str | Path, *, seed: int = 0) -> DataSet:
    """Read a JSONL file: one object a line, with `prompt` and `completion`, or `messages`.

    A `split` field (train, validation, test) is honoured; without one, a tenth of the rows
    (at least one) is held out for validation, drawn by `seed`.  Other fields go to `meta`.
    Exact duplicates are left out and noted.  Raises LabError naming the file and line.
    """
    path = _existing(path)
    return _assembled(path.stem, _numbered_rows(path.name, _json_lines(path)), seed)


def from_csv(path: str | Path, *, seed: int = 0) -> DataSet:
    """Read a CSV file whose header names at least `prompt` and `completion`; see `from_jsonl`."""
    path = _existing(path)
    return _assembled(path.stem, _numbered_rows(path.name, _csv_lines(path)), seed)


def from_hub_or_local(name: str, *, seed: int = 0) -> DataSet:
    """Load what `datasets.load_dataset` knows by `name`: a hub's data set or a local folder.

    Columns `prompt` and `completion`, or `messages`; splits train, validation and test, of
    which only train must be there.  No code of the data set's is run.
    """
    import datasets

    try:
        loaded: Any = datasets.load_dataset(name)
    except Exception as error:  # The library raises many kinds, each with a long text.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LabError(
            f"dataset: cannot load {shorten(name)}: {reason}; legal: a set of the course, a"
            " .jsonl or .csv file, a folder, or a hub name"
        ) from error
    if "train" not in loaded:
        raise LabError(f"dataset {name}: no train split; it has {', '.join(map(str, loaded))}")

    def numbered() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for split in SPLITS:
            for number, fields in enumerate(loaded.get(split, []), start=1):
                yield f"{split} row {number}", {**fields, "split": split}

    return _assembled(name, _numbered_rows(f"dataset {name}", numbered()), seed)


def read_rows(path: Path) -> list[Row]:
    """Read every row of a JSONL file, in order, its `meta` as it stands."""
    return [row for _, row, _ in _numbered_rows(path.name, _json_lines(path))]


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise LabError(f"dataset: no file {path}{nearest(path.name, beside)}")
    return path


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LabError(
            f"{path.name}, line {line}: byte {content[error.start]:#04x} is not UTF-8;"
            " save the file as UTF-8"
        ) from error


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or large"
            column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise LabError(f"{path.name}, {where}: not JSON: {reason}{column}") from error
        if not isinstance(fields, dict):
            raise LabError(
                f"{path.name}, {where}: {shorten(fields)} is not an object with prompt and"
                " completion"
            )
        yield where, fields


def _csv_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if len(set(header)) < len(header):
                    twice = next(name for name in header if header.count(name) > 1)
                    raise LabError(f"{path.name}, {where}: column {twice!r} stands twice")
                _column_check(f"{path.name}, {where}", header)
                continue
            if len(cells) != len(header):
                raise LabError(
                    f"{path.name}, {where}: {len(cells)} cells where the header has"
                    f" {len(header)}; put text that holds a comma in double quotes"
                )
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise LabError(f"{path.name}, line {reader.line_num}: not CSV: {error}") from error


def _column_check(where: str, columns: Iterable[str]) -> None:
    """Raise unless the columns hold prompt and completion, or messages."""
    columns = [str(column) for column in columns if column != "split"]
    if "messages" in columns and "prompt" not in columns:
        return
    for needed in ("prompt", "completion"):
        if needed not in columns:
            hint = nearest(needed, columns).replace("did you mean", "is it")
            raise LabError(f"{where}: no {needed}; it has {shorten(', '.join(columns))}{hint}")


def _numbered_rows(
    source: str, lines: Iterable[tuple[str, Mapping[str, Any]]]
) -> Iterator[tuple[str, Row, str | None]]:
    """Yield (where, row, split or None) for each line's fields, checked."""
    for where, fields in lines:
        place = f"{source}, {where}"
        _column_check(place, fields)
        rest = {key: value for key, value in fields.items() if key not in _KNOWN}
        split = fields.get("split")
        if split in ("", None):
            split = None
        elif split not in SPLITS:
            raise LabError(
                f"{place}: split: {shorten(split)} is not one of {', '.join(SPLITS)}"
                f"{nearest(str(split), SPLITS)}"
            )
        if "prompt" in fields:
            system, prompt, completion = (
                fields.get("system"),
                fields["prompt"],
                fields["completion"],
            )
        else:
            system, prompt, completion = _from_messages(place, fields["messages"])
        prompt = _from_turns(place, "prompt", prompt, "user")
        completion = _from_turns(place, "completion", completion, "assistant")
        if not isinstance(system or "", str):
            raise LabError(f"{place}: system: {shorten(system)} is not text")
        meta = fields.get("meta")
        if meta is None or meta == "":
            meta = {}
        if not isinstance(meta, Mapping):
            raise LabError(f"{place}: meta: {shorten(meta)} is not an object")
        yield where, Row(prompt, completion, {**rest, **meta}, system or ""), split


_KNOWN = {"prompt", "completion", "messages", "system", "split", "meta"}


def _from_turns(place: str, field: str, value: Any, role: str) -> str:
    """Return the text of a field that is text, or a list of one message of the right role."""
    if isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], Mapping) or value[0].get("role") != role:
            raise LabError(f"{place}: {field}: a list must hold one message, of role {role}")
        value = value[0].get("content")
    if not isinstance(value, str):
        raise LabError(f"{place}: {field}: {shorten(value)} is not text")
    if not value.strip():
        raise LabError(f"{place}: {field}: empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LabError(f"{place}: {field}: holds half of a character pair; no such text") from error
    return value


def _from_messages(place: str, messages: Any) -> tuple[Any, Any, Any]:
    """Return (system, prompt, completion) of a chat of one question and one answer."""
    if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in messages):
        raise LabError(f"{place}: messages: {shorten(messages)} is not a list of messages")
    roles = [str(message.get("role")) for message in messages]
    system = ""
    if roles and roles[0] == "system":
        system, messages, roles = messages[0].get("content"), messages[1:], roles[1:]
    if roles != ["user", "assistant"]:
        raise LabError(
            f"{place}: messages: roles {shorten(', '.join(roles))}; legal: an optional system"
            " message, one user message, one assistant message"
        )
    return system, messages[0].get("content"), messages[1].get("content")


def _assembled(name: str, rows: Iterable[tuple[str, Row, str | None]], seed: int) -> DataSet:
    """Sort rows into splits, leave out duplicates, and hold some out if none are."""
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    seen: dict[tuple[str, str, str], str] = {}
    duplicates = []
    for where, row, split in rows:
        key = (row.system, row.prompt, row.completion)
        if key in seen:
            duplicates.append(f"{where} (as {seen[key]})")
            continue
        seen[key] = where
        splits[split or "train"].append(row)
    if not splits["train"]:
        raise LabError(f"{name}: no rows to train on")
    notes = []
    if duplicates:
        shown = ", ".join(duplicates[:5]) + (" …" if len(duplicates) > 5 else "")
        count = f"{len(duplicates)} duplicate row{'s' if len(duplicates) > 1 else ''}"
        notes.append(f"{count} left out: {shown}")
    if not splits["validation"]:
        if len(splits["train"]) < 2:
            raise LabError(f"{name}: 1 row; at least 2 are needed, to hold one out for validation")
        held = max(1, round(VALIDATION_SHARE * len(splits["train"])))
        chosen = set(random.Random(seed).sample(range(len(splits["train"])), held))
        everything = splits["train"]
        splits["validation"] = [row for i, row in enumerate(everything) if i in chosen]
        splits["train"] = [row for i, row in enumerate(everything) if i not in chosen]
        notes.append(f"{held} of {len(everything)} rows held out for validation by seed {seed}")
    return DataSet(
        name,
        tuple(splits["train"]),
        tuple(splits["validation"]),
        tuple(splits["test"]),
        metrics=("exact_match",),
        notes=tuple(notes),
    )
