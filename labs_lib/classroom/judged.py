"""Outcomes that grading has found so far, in a file to go on from: interrupted, none is lost."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from labs_lib.assessment.outcomes import Outcome
from labs_lib.classroom.records import Line, Name, Record, Status, Text
from labs_lib.files import friendly_os_errors
from labs_lib.texts import read_bytes

LARGEST_BYTES = 2**30


class Judged(Record):
    """The outcome of one piece of code, by the key of all that it was judged from."""

    key: Name
    outcome: Status
    message: Text = ""
    misconception: Line = ""

    @property
    def as_outcome(self) -> Outcome:
        """Return the outcome that was kept."""
        return Outcome(self.outcome, self.message, self.misconception)


class JudgedFile:
    """A file of outcomes, one JSON object a line, only ever added to; a torn line is left out."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[str, Judged] = {}
        self._torn = False
        if path.is_file():
            self._read(read_bytes(path, LARGEST_BYTES))

    def get(self, key: str) -> Outcome | None:
        """Return the outcome under a key, if there is one."""
        judged = self._known.get(key)
        return None if judged is None else judged.as_outcome

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome, on the disk before anything else is done."""
        fields: dict[str, Any] = {
            "key": key, "outcome": outcome.status, "message": outcome.message,
            "misconception": outcome.misconception,
        }  # fmt: skip
        judged = Judged.model_validate(fields)
        with self._lock, friendly_os_errors(self.path):
            self._known[key] = judged
            line = judged.model_dump_json().encode() + b"\n"
            with self.path.open("ab") as file:
                file.write(b"\n" + line if self._torn else line)
                file.flush()
                os.fsync(file.fileno())
            self._torn = False

    def _read(self, content: bytes) -> None:
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            try:
                judged = Judged.model_validate(json.loads(line))
            except (ValidationError, ValueError, RecursionError):
                continue
            self._known[judged.key] = judged
