"""Three raw files to begin with, flaws left in: an extraction, a style, a classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FILES = {
    "appointments": "appointments.jsonl",
    "house-style": "house-style.json",
    "support": "support.csv",
}


def starters() -> tuple[str, ...]:
    """Return the names of the starter sets."""
    return tuple(_FILES)


def starter(name: str) -> Path:
    """Return the file of a starter set; a misspelt name names the nearest."""
    raise NotImplementedError


def starter_card(name: str) -> dict[str, Any]:
    """Return the set's card: what it is, its license, its entity field, and its known flaws."""
    raise NotImplementedError
