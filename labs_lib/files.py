"""Files that are either whole or absent: written aside, flushed, then renamed."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from labs_lib.errors import LabError


def expanded(path: str | Path) -> Path:
    """Return `path` with a leading `~` read as a home folder; a `~name` of nobody's stays."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


class NotWrittenError(LabError):
    """A file or folder that cannot be written, why, and what to know besides (`remark`)."""

    def __init__(self, path: Path, reason: str, remark: str = ""):
        super().__init__(f"cannot write {path}: {reason}{'; ' if remark else ''}{remark}")
        self.path, self.reason = path, reason


@contextmanager
def friendly_os_errors(path: Path) -> Generator[None]:
    """Turn a full disk, a read-only folder or a missing parent into one clear line."""
    try:
        yield
    except OSError as error:
        raise NotWrittenError(path, error.strerror or str(error)) from error


@contextmanager
def written_aside(path: Path) -> Generator[Path]:
    """Yield a temporary file beside `path`; rename it to `path` if the block succeeds."""
    with friendly_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _aside(path)
        aside.touch(exist_ok=False)
        mode = aside.stat().st_mode
        try:
            yield aside
            aside.chmod(mode)  # the writer may have put a file of its own there
            _flush(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def folder_written_aside(folder: Path, others_stay: bool = False) -> Generator[Path]:
    """Yield a temporary folder beside `folder`; rename it to `folder` if the block succeeds.

    An existing `folder` is replaced; it is never seen half-written. With `others_stay` it keeps
    its files of other names, and the new ones come into it one after the other.
    """
    with friendly_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = _aside(folder)
        aside.mkdir()
        # What the umask leaves of a new folder's rights; safetensors keeps its files from all
        # others but the owner, whatever the umask.
        readable = aside.stat().st_mode & 0o666
        try:
            yield aside
            for file in aside.rglob("*"):
                if file.is_file():
                    file.chmod(readable)
                    _flush(file)
            if others_stay and folder.is_dir():
                move_files(aside, folder)
            elif folder.exists():
                old = aside.with_name(aside.name + ".old")
                folder.rename(old)
                aside.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def move_files(source: Path, target: Path) -> None:
    """Move the files of `source`, those of its subfolders too, into the folder `target`.

    Files of the same name are replaced; others in `target` stay.
    """
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 with `\n` line ends, aside first."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, aside first."""
    write_text(path, to_json(content, indent=2) + "\n")


def to_json(content: Any, indent: int | None = None) -> str:
    """Return `content` as JSON that every reader takes: null where a number is not finite."""
    return json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in cast(Mapping[Any, Any], content).items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in cast(Sequence[Any], content)]
    return content


def _aside(path: Path) -> Path:
    # Not tempfile's: that would leave the file readable by its owner alone.
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
