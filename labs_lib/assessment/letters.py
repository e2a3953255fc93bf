"""The letters of a choice or an order, in the many ways in which they are written."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import deque
from typing import Any, cast

from labs_lib.assessment.answers import listed
from labs_lib.assessment.short_texts import normal_form
from labs_lib.errors import kind_of, shorten

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONGEST_TEXT = 10_000
MOST_PARTS = 100
_BETWEEN = str.maketrans(dict.fromkeys(",;.:!?()[]{}<>&+/|\\-–—→⇒➔'\"`“”‘’", " "))
# Cyrillic and Greek letters that look like a, b, c, e.
_ALIKE = str.maketrans("авсеαβε", "abceabe")
_WORDS = frozenset(("and", "then", "option", "options", "answer", "choice", "letter"))


def read_letters(value: Any, texts: list[str], ordered: bool = False) -> list[str] | str:
    """Return the letters that an answer names, or one line that says what is wrong with it.

    Reads `b`, `B)`, `a,c`, `a and c`, `ac`, `b → a → c`, an option's own text, and lists, tuples,
    sets, arrays and iterators of these. `texts` are the options' or items' normal forms, in the
    order of their letters; `ordered` refuses a set.
    """
    legal = LETTERS[: len(texts)]
    parts = _parts(value, texts)
    if isinstance(parts, str):
        return parts
    if ordered and len(parts) > 1 and issubclass(type(value), (set, frozenset)):
        return "A set has no order; give the letters in a list or a text, e.g. b,a,c."
    for part in parts:
        if len(part) != 1 or part not in legal:
            return f"{shorten(part)} is not one of {', '.join(legal)}."
    if len(set(parts)) < len(parts):
        return "A letter was given twice."
    return parts or f"Type a letter from a to {legal[-1]}."


def _parts(value: Any, texts: list[str]) -> list[str] | str:
    legal = LETTERS[: len(texts)]
    if issubclass(type(value), str):
        return _in_text(str.__str__(value), texts)
    items = _items(value)
    if items is None:
        return f"Type a letter from a to {legal[-1]}; {kind_of(value)} was given."
    if len(items) > MOST_PARTS or not all(issubclass(type(part), str) for part in items):
        return f"Give a list of letters from {', '.join(legal)}."
    letters: list[str] = []
    for part in items:
        named = _in_text(str.__str__(part), texts)
        if isinstance(named, str):
            return named
        letters += named
    return letters


def _items(value: Any) -> list[Any] | None:
    """Return what a collection holds; a set's items sorted; None for anything else."""
    kind = cast("type[Any]", type(value))
    if issubclass(kind, (list, tuple, deque)):
        return list(value)[: MOST_PARTS + 1]
    if issubclass(kind, (set, frozenset)):
        parts = list(value)[: MOST_PARTS + 1]
        strings = all(issubclass(type(part), str) for part in parts)
        return sorted(parts) if strings else parts
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.ndarray):
        return value.ravel()[: MOST_PARTS + 1].tolist()
    items = listed(value)
    return items if items is not value else None


def _in_text(text: str, texts: list[str]) -> list[str] | str:
    """Return the letters in one text."""
    if len(text) > LONGEST_TEXT:
        return f"{len(text):,} characters are no choice; type a letter."
    plain = unicodedata.normalize("NFKC", text).casefold()
    named = _named(plain, texts)
    if named:
        return [named]
    legal = set(LETTERS[: len(texts)])
    parts = plain.translate(_BETWEEN).split()
    if len(parts) > 1:
        parts = [part for part in parts if part not in _WORDS]
    parts = [part.translate(_ALIKE) if len(part) == 1 else part for part in parts]
    if len(parts) == 1 and 1 < len(parts[0]) <= len(texts) and legal.issuperset(parts[0]):
        parts = list(parts[0])
    elif len(parts) > 1 and not legal.intersection(parts):
        return f"{shorten(text.strip())} names no option; type a letter from a to {max(legal)}."
    return parts


def _named(plain: str, texts: list[str]) -> str:
    """Return the letter whose option's text this is, with its letter before it or without."""
    if len(plain) < 2:
        return ""
    lettered = re.match(r"\(?([a-z])[).:]\s+(.+)", plain, re.S)
    for letter, option in zip(LETTERS, texts, strict=False):
        if len(option) > 1 and normal_form(plain) == option:
            return letter
        if lettered and lettered[1] == letter and normal_form(lettered[2]) == option:
            return letter
    return ""
