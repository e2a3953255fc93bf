"""Small texts that a language model can start from, and how much of one a model repeats."""

from __future__ import annotations

import json
from pathlib import Path

from labs_lib.errors import choice_error

TEXTS = ("harbor", "log")


def load_text(name: str) -> list[str]:
    """Return the paragraphs of one of the course's own texts; a misspelt name names the nearest."""
    if name not in TEXTS:
        raise choice_error("text", name, TEXTS)
    file = Path(__file__).parent / f"{name}.jsonl"
    return [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]


def longest_copy(text: str, source: str) -> str:
    """Return the longest run of whole words of `text` that is in `source`, word for word."""
    words, known = text.split(), f" {' '.join(source.split())} "
    longest: list[str] = []
    start = 0
    for end in range(1, len(words) + 1):
        while start < end and f" {' '.join(words[start:end])} " not in known:
            start += 1
        if end - start > len(longest):
            longest = words[start:end]
    return " ".join(longest)
