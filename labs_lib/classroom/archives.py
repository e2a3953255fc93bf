"""Archives from strangers, read within bounds and never unpacked onto the disk."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labs_lib.classroom.records import HAND_IN_FILE, LARGEST_BYTES, HandedIn, parse_record
from labs_lib.errors import LabError
from labs_lib.texts import UnreadableError, read_bytes

LARGEST_ARCHIVE_BYTES = 2**30
LARGEST_HAND_IN_BYTES = 32 * 2**20
MOST_ENTRIES = 20_000
MOST_HAND_IN_ENTRIES = 50
# What zipfile and the decompressors raise for an archive that is damaged or made to harm.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError,
            NotImplementedError, EOFError, OSError, ValueError, OverflowError)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A file as it came: its path in what was collected, when it was written there, its bytes.

    `content` is None for what is too large to be a hand-in, or no plain file; `why` says so.
    """

    path: str
    time: datetime | None
    content: bytes | None
    why: str = ""


def sent_files(source: Path) -> Iterator[Sent]:
    """Yield the zips in a folder, at most four levels down, or in an archive from an LMS."""
    if source.is_dir():
        yield from _in_folder(source)
    elif source.is_file():
        yield from _in_archive(source)
    else:
        raise LabError(f"collect: no folder or file {source}")


def read_hand_in(content: bytes, name: str) -> HandedIn:
    """Return the hand-in that a zip's bytes hold; one file of it is looked at, none is unpacked.

    Raises LabError, in one line, for anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_HAND_IN_ENTRIES:
                raise LabError(f"{len(entries):,} files in it; a hand-in has one")
            found = [entry for entry in entries if entry.filename == HAND_IN_FILE]
            if len(found) != 1:
                raise LabError(f"{len(found)} files {HAND_IN_FILE} in it; a hand-in has one")
            text = _bounded(archive, found[0], LARGEST_BYTES)
    except LabError as error:
        raise LabError(f"{name}: {error}") from None
    except _DAMAGED as error:
        raise LabError(f"{name}: it is no zip that can be read ({_first(error)})") from None
    return parse_record(HandedIn, text, name)


def _in_folder(source: Path) -> Iterator[Sent]:
    levels = ("", "*/", "*/*/", "*/*/*/")
    top = source.resolve()
    for path in sorted({path for level in levels for path in source.glob(f"{level}*.zip")}):
        name = path.relative_to(source).as_posix()
        # A link in a student's folder may lead into another's.
        if path.resolve() != top / name:
            yield Sent(name, None, None, "it is a link to another file")
        elif not path.is_file():
            yield Sent(name, None, None, "it is no file")
        else:
            yield _from_disk(path, name)


def _from_disk(path: Path, name: str) -> Sent:
    try:
        time = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        return Sent(name, time, read_bytes(path, LARGEST_HAND_IN_BYTES))
    except UnreadableError as error:
        return Sent(name, None, None, error.reason)
    except OSError as error:
        return Sent(name, None, None, f"it cannot be read: {error.strerror}")


def _in_archive(source: Path) -> Iterator[Sent]:
    if source.stat().st_size > LARGEST_ARCHIVE_BYTES:
        most = f"{LARGEST_ARCHIVE_BYTES / 2**30:g} GiB"
        raise LabError(f"collect: {source.name} is larger than {most}")
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES:
                raise LabError(f"collect: {source.name} has {len(entries):,} files in it")
            if any(entry.filename == HAND_IN_FILE for entry in entries):
                # One student's hand-in, named alone.
                yield _from_disk(source, source.name)
                return
            for entry in sorted(entries, key=lambda each: each.filename):
                if entry.filename.lower().endswith(".zip"):
                    yield _member(archive, entry)
    except _DAMAGED as error:
        if isinstance(error, LabError):
            raise
        raise LabError(f"collect: {source.name} is no zip that can be read") from None


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Sent:
    try:
        time = datetime(*entry.date_time).astimezone()
    except (ValueError, OverflowError, OSError):
        time = None
    try:
        return Sent(entry.filename, time, _bounded(archive, entry, LARGEST_HAND_IN_BYTES))
    except LabError as error:
        return Sent(entry.filename, time, None, str(error))
    except _DAMAGED as error:
        return Sent(entry.filename, time, None, f"it cannot be read ({_first(error)})")


def _bounded(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Return an entry's bytes; what it says of its own size is not believed."""
    with archive.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise LabError(_TOO_LARGE if most == LARGEST_HAND_IN_BYTES else "it unpacks without end")
    return content


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


_TOO_LARGE = f"it is larger than {LARGEST_HAND_IN_BYTES // 2**20} MiB"
