"""Three raw files to begin with, flaws left in: an extraction, a style, a classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labs_lib.errors import choice_error

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
    return folder_of_starter(name) / _FILES[name]


def starter_card(name: str) -> dict[str, Any]:
    """Return the set's card: its kind, license and rows, its entity field, its known flaws."""
    from labs_lib.yamls import read_yaml

    return read_yaml(folder_of_starter(name) / "card.yaml")


def folder_of_starter(name: str) -> Path:
    """Return the folder that holds a starter's file and its card."""
    if name not in _FILES:
        raise choice_error("starter", name, _FILES)
    return Path(__file__).parent.parent / "starters" / name
