"""Text from files that people made: whichever encoding they chose, or one line that says what."""

from __future__ import annotations

import codecs
from pathlib import Path

from labs_lib.errors import LabError

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class NotTextError(ValueError):
    """Bytes that are no text: the line, counted from 1, and what is wrong there."""

    def __init__(self, line: int, reason: str):
        super().__init__(reason)
        self.line = line
        self.reason = reason


class UnreadableError(LabError):
    """A file that cannot be read, and why."""

    def __init__(self, path: Path, reason: str):
        super().__init__(f"cannot read {path}: {reason}")
        self.reason = reason


def decode(content: bytes) -> str:
    """Return the bytes as text: by their byte order mark (UTF-8, -16, -32), else as UTF-8.

    Raises NotTextError for bytes that are none, and for a NUL, which no text holds: it tells of a
    damaged or a binary file, or of UTF-16 without its mark.
    """
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8")
    )
    body = content[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        if mark:
            raise NotTextError(line, f"it begins as {encoding.upper()}, and is not") from None
        byte = f"byte {body[error.start]:#04x}"
        raise NotTextError(line, f"{byte} is not UTF-8; save the file as UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise NotTextError(line, "a NUL byte; the file is damaged, or no UTF-8 text")
    return text


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Return a file's content; UnreadableError if it cannot be, or holds more than `most_bytes`."""
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UnreadableError(path, getattr(error, "strerror", None) or str(error)) from None
    if len(content) > most_bytes:
        raise UnreadableError(path, f"it holds more than {most_bytes / 2**20:.3g} MiB")
    return content
