"""What an exercise's cell holds, before and after: two files, or plain text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from labs_lib.errors import LabError


class Code(Protocol):
    """The source of an exercise's cell, without its marker line."""

    @property
    def starter(self) -> str:
        """Return what the cell holds at first."""
        ...

    @property
    def solution(self) -> str:
        """Return what it holds once solved."""
        ...


@dataclass(frozen=True)
class CodeText:
    """Code that is at hand as text."""

    starter: str = ""
    solution: str = ""


NO_CODE = CodeText()


@dataclass(frozen=True)
class CodeFolder:
    """Code in a folder's `starter.py` and `solution.py`, each read when it is first asked for.

    A file that cannot be read raises LabError with its name.
    """

    folder: Path

    @property
    def starter(self) -> str:
        """Return the text of `starter.py`."""
        return _text_of(self.folder / "starter.py")

    @property
    def solution(self) -> str:
        """Return the text of `solution.py`."""
        return _text_of(self.folder / "solution.py")


@lru_cache(maxsize=1024)
def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise LabError(f"cannot read {path}: {reason}") from None
