"""The progress file: one JSON object a line, only ever added to, and never half-written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from labs_lib.assessment.answers import plain
from labs_lib.assessment.event_rows import (
    LONGEST_LINE_BYTES,
    Event,
    checked,
    decoded,
    decoded_all,
    is_known,
    key_of,
    lines_of,
)
from labs_lib.errors import LabError
from labs_lib.files import friendly_os_errors, written_aside
from labs_lib.paths import data_dir
from labs_lib.texts import read_bytes

LOCK_SECONDS = 5.0
LARGEST_IMPORT_BYTES = 256 * 2**20
_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


def progress_file() -> Path:
    """Return the file of events: one JSON object a line, in the user's data folder."""
    return data_dir() / "progress.jsonl"


def record(
    kind: str, item_id: str, *, kept: Mapping[str, Any] | None = None, **fields: Any
) -> Event:
    """Append one event with the UTC time, under a lock, and return it.

    `fields` are made plain; those of `kept` are plain already and written as they are, since what
    was cut once would be cut again.
    A last line that was torn (the power went) stays behind as a line of its own, and readers skip
    it. Raises LabError if the file cannot be written; the file is then as it was.
    """
    event: Event = {
        "event": kind,
        "id": item_id,
        **(kept or {}),
        **{name: plain(value) for name, value in fields.items()},
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
    }
    _append([json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")])
    return event


def read_events(path: Path | None = None) -> tuple[list[Event], int]:
    """Return the events in order, and how many lines could not be read (they are skipped).

    An event of a kind that only a newer version knows is neither.
    """
    rows, unreadable = _rows(path or progress_file())
    return [event for event, _ in rows if is_known(event)], unreadable


def export_progress(path: Path) -> int:
    """Write a copy of the events, those of newer kinds too, to `path`; return how many."""
    own = progress_file()
    if str(path) == "-":
        raise LabError("export: '-' is no file name, and nothing is written to the terminal")
    if path.resolve() == own.resolve():
        raise LabError(f"export: {path} is the progress file itself; name another file")
    rows, _ = _rows(own)
    with written_aside(path) as aside:
        aside.write_bytes(b"".join(line + b"\n" for _, line in rows))
    return len(rows)


def import_progress(path: Path) -> int:
    """Add the events of an exported file that are not here yet; return how many.

    All or nothing: LabError names the first line that is no event.
    """
    lines = lines_of(_read_foreign(path))
    known = {key_of(event, line) for event, line in _rows(progress_file())[0]}
    new: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = checked(decoded(line))
        except LabError as error:
            torn = number == len(lines) and line.lstrip().startswith(b"{")
            reason = "the last line is cut off; delete it, or export again" if torn else error
            if len(line) > LONGEST_LINE_BYTES:
                reason = f"not a line of a progress file: {len(line):,} bytes long"
            raise LabError(f"{path.name}:{number}: {reason}") from None
        key = key_of(event, line)
        if key not in known:
            known.add(key)
            new.append(line)
    if new:
        _append(new)
    return len(new)


def reset_progress() -> Path | None:
    """Begin anew: the old file is kept beside it under another name, which is returned.

    One renaming does it, so that at any moment the events are whole under one name or the other.
    """
    path = progress_file()
    if not path.exists():
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")
    archive = path.with_name(f"progress-until-{stamp}.jsonl")
    with friendly_os_errors(path), _locked(path):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.rename(archive)
    return archive


def _rows(path: Path) -> tuple[list[tuple[Event, bytes]], int]:
    """Return each event with its line, and the number of lines that hold none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from error
    lines = [line for line in lines_of(raw) if line and not line.isspace()]
    rows: list[tuple[Event, bytes]] = []
    for row, line in zip(decoded_all(lines), lines, strict=True):
        try:
            rows.append((checked(row), line))
        except LabError:
            continue
    return rows, len(lines) - len(rows)


def _read_foreign(path: Path) -> bytes:
    with suppress(OSError, ValueError):  # where the system refuses to look, reading says why
        if path.exists() and not path.is_file():  # a named pipe would be waited for
            raise LabError(f"cannot read {path}: it is no file")
    return read_bytes(path, LARGEST_IMPORT_BYTES)


def _append(lines: list[bytes]) -> None:
    path = progress_file()
    with friendly_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path), path.open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            torn = False
            if size:
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"
            text = (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines)
            try:
                _write_all(file, text)
                os.fsync(file.fileno())
            except BaseException:
                # A full disk takes a part of the line: what was written of it goes again.
                file.truncate(size)
                raise


def _write_all(file: Any, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]


@contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    import filelock

    lock: Any = filelock.FileLock(str(path) + ".lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LabError(f"{path} is in use by another program for {LOCK_SECONDS:g} s") from None
    except (NotImplementedError, OSError) as error:
        # Some network file systems know no locks; a line is then added by one write alone.
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()
