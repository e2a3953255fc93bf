"""What comes back from student code's process: how it ended, held to a form before it is used."""

from __future__ import annotations

import json
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labs_lib.assessment.plain import ForgedError, decode, plain_text

RESULT_BYTES = 64 * 2**20
LARGEST_SOURCE_BYTES = 2**20
MOST_PROCESSES = 100

Ending = Literal[
    "returned", "raised", "too long", "flooded", "exited", "too large", "garbled", "not started"
]


@dataclass(frozen=True)
class Apart:
    """How student code ended: what it returned, or why it did not; and what it printed.

    `unfinished` says that the code raised NotImplementedError itself, in a line of its own;
    `wrong_form` that a checker raised `WrongFormError`; `uncopied` that the code could not be
    copied to another process; `idle` that it ran out of time without computing.
    """

    ending: Ending
    value: Any = None
    message: str = ""
    error_type: str = ""
    line: int | None = None
    line_text: str = ""
    printed: str = ""
    unfinished: bool = False
    wrong_form: bool = False
    uncopied: bool = False
    idle: bool = False


@dataclass(frozen=True)
class Ended:
    """How a forked process ended, as the process that watched it saw it; nothing is read yet."""

    result: bytes = b""
    printed: bytes = b""
    exit_code: int = 0
    late: bool = False
    idle: bool = False
    flooded: bool = False
    swarmed: bool = False
    overfull: bool = False

    def verdict(self, student_files: tuple[str, ...], seconds: float, output_bytes: int) -> Apart:
        """Return how the student's code ended."""
        printed = printed_text(self.printed)
        if self.flooded:
            limit = f"{output_bytes // 1000} kB"
            message = f"Your code printed more than {limit} and was stopped."
            return Apart("flooded", message=message, printed=printed[:400])
        if self.swarmed:
            message = f"Your code started more than {MOST_PROCESSES} processes and was stopped."
            return Apart("flooded", message=message, printed=printed[:400])
        if self.late:
            message = f"Your code ran for more than {seconds:g} s and was stopped."
            return Apart("too long", message=message, printed=printed, idle=self.idle)
        if self.overfull:
            return too_large(printed)
        reported = read_report(self.result, student_files, printed)
        if reported is not None:
            return reported
        message = f"Your code ended the process it ran in{exit_note(self.exit_code)}."
        return Apart("exited", message=message, printed=printed)


class Report(BaseModel):
    """The one line of JSON that the other process writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ending: Literal["returned", "raised", "exited", "too large"]
    value: Any = None
    message: str = ""
    type: str = ""
    file: str | None = None
    line: int | None = Field(default=None, ge=1, le=10**8)
    unfinished: bool = False
    wrong_form: bool = False


def read_report(raw: bytes, student_files: tuple[str, ...], printed: str) -> Apart | None:
    """Return how the code ended by its report; None if there is none.

    The report's process belongs to the student's code, so nothing in it is believed: a forged one
    is an ending of its own.
    """
    if not raw:
        return None
    if len(raw) > RESULT_BYTES:
        return too_large(printed)
    try:
        report = Report.model_validate(json.loads(raw))
        value = decode(report.value)
        if report.ending == "raised" and not report.type:
            raise ForgedError("an error without a type")
    except (ValidationError, ForgedError, ValueError, RecursionError, MemoryError):
        message = "Your code's process sent back no result that can be read."
        return Apart("garbled", message=message, printed=printed)
    if report.ending == "too large":
        return too_large(printed)
    if report.ending == "returned":
        return Apart("returned", value=value, printed=printed)
    known = report.file if report.file in student_files else None
    return Apart(
        report.ending,
        message=plain_text(report.message),
        error_type=plain_text(report.type, 60) or "Error",
        line=report.line if known else None,
        line_text=source_line(known, report.line) if known and report.line else "",
        printed=printed,
        unfinished=report.unfinished,
        wrong_form=report.wrong_form,
    )


def too_large(printed: str = "") -> Apart:
    """Return the ending of code whose result is larger than any exercise's."""
    message = "Your code returned far more than was asked for; so large a result is not judged."
    return Apart("too large", message=message, printed=printed)


def printed_text(printed: bytes | bytearray) -> str:
    """Return the first of what code printed, as text."""
    return bytes(printed[:2000]).decode("utf-8", "replace")


def source_line(file: str, number: int) -> str:
    """Return a line of a student's file; empty for what is no ordinary file of source."""
    import linecache

    if file not in linecache.cache:
        # A file name can be made up, and a device or a pipe would be read for ever.
        try:
            status = Path(file).stat()
        except (OSError, ValueError):
            return ""
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_SOURCE_BYTES:
            return ""
    line = linecache.getline(file, number).strip()[:120]
    return "".join(sign if sign.isprintable() else " " for sign in line)


def exit_note(code: int) -> str:
    """Return what an exit status says, in brackets."""
    if code < 0 and -code == getattr(signal, "SIGSEGV", 11):
        return " (it crashed; a recursion without end can do that)"
    return f" (exit status {code})" if code > 0 else " (it exited)"
