"""JSON from anyone's file: within bounds, and every fault in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labs_lib.texts import UnreadableError, read_bytes


def read_json(path: Path, most_bytes: int, *, allow_nan: bool = False) -> Any:
    """Return what a JSON file in UTF-8 holds.

    `allow_nan` takes NaN and Infinity as Python writes them; in JSON they are no numbers. Raises
    `UnreadableError` for a file that cannot be read, is larger than `most_bytes`, is not JSON, or
    is nested too deeply to be read.
    """
    return parse_json(path, read_bytes(path, most_bytes), allow_nan=allow_nan)


def parse_json(path: Path, content: bytes, *, allow_nan: bool = False) -> Any:
    """Return what the content of a JSON file holds, as `read_json` does; `path` names it."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=None if allow_nan else _refuse)
    except RecursionError:
        raise UnreadableError(path, "it is not JSON: nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(path, f"it is not JSON: {error}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number there")
