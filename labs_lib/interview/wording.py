"""Finding words in a text: phrases with small slips of spelling, clauses, and what is denied.

A rule can only see words. It flags a clause that says something in words that are listed, unless
the clause also denies it; an answer that says the same in other words passes.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# Scripts without spaces count a word a character.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|\d+(?:[.,]\d+)*|[^\W_]+(?:['’][^\W_]+)*|[/=√%]|[.,;:!?()\n—–]"
)
_END = frozenset(".!?\n")
_PAUSE = frozenset(",;:()—–")
_CLAUSE_WORDS = frozenset(
    ("but", "whereas", "while", "because", "although", "though", "however", "since", "so")
)
# A clause with one of these does not claim what its other words say.
_DENIALS = (
    "not", "no", "never", "nor", "neither", "none", "nothing", "without", "cannot", "wrong",
    "false", "untrue", "mistake", "mistaken", "myth", "misconception", "incorrect", "rather than",
    "instead of", "some say", "people say", "many say", "often said", "one reads", "you read",
    "hardly", "rarely", "far from", "if", "unless",
)  # fmt: skip
# From this length on a word with one or two wrong letters is still the word.
_SHORTEST_LOOSE, _ALIKE = 6, 88
_AKIN = 70  # from here on two words that begin alike are forms of one
_LONG = 8
_LIGHT = frozenset(
    (
        "that", "this", "than", "then", "with", "what", "when", "where", "which", "while", "from",
        "have", "into", "each", "they", "them", "their", "there", "because", "only", "also", "most",
        "more", "well", "will", "would", "your", "back", "does", "such", "very", "same", "other",
    )
)  # fmt: skip
_SAME = {"α": "alpha", "Α": "alpha"}


class Word(NamedTuple):
    """A word or a sign of a text, in the form in which it is compared, and where it is."""

    form: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Return whether it counts as a spoken word."""
        return self.form not in _PAUSE and self.form not in _END and self.form[0].isalnum()


class Span(NamedTuple):
    """A part of a text, from `start` up to `end`."""

    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the words and signs of a text, in order; emoji and other symbols are left out."""
    found = []
    for match in _TOKEN.finditer(text):
        form = unicodedata.normalize("NFKC", match[0]).casefold().replace("’", "'")
        found.append(Word(_SAME.get(form, form), match.start(), match.end()))
    return found


def sentences(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of each sentence, with the signs inside it."""
    yield from _split(words, lambda word: word.form in _END)


def clauses(sentence: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of each clause of a sentence: what lies between commas, "but", "because"."""
    yield from _split(sentence, lambda word: word.form in _PAUSE or word.form in _CLAUSE_WORDS)


def find_phrase(words: Sequence[Word], phrase: str) -> Span | None:
    """Return where a phrase first occurs among the words, or None.

    A word of the phrase that ends in `*` matches every word that begins so; a longer word matches
    with a wrong letter or two.
    """
    parts = _parts(phrase)
    for first in range(len(words) - len(parts) + 1):
        run = words[first : first + len(parts)]
        if all(_is(word.form, part) for word, part in zip(run, parts, strict=True)):
            return Span(run[0].start, run[-1].end)
    return None


def is_denied(clause: Sequence[Word], said: Sequence[Span]) -> bool:
    """Return whether a clause denies, doubts or quotes what it says outside of the spans `said`."""
    rest = [word for word in clause if not any(s.start <= word.start < s.end for s in said)]
    if any(word.form.endswith("n't") for word in rest):
        return True
    return any(find_phrase(rest, denial) is not None for denial in _DENIALS)


def shared_words(one: Sequence[Word], other: Sequence[Word]) -> int:
    """Return how many words two texts share, long ones twice; merged and merging are one word."""
    mine, theirs = ({word.form for word in words if _weighs(word)} for words in (one, other))
    shared = [word for word in mine if any(_akin(word, each) for each in theirs)]
    return sum(1 + (len(word) >= _LONG) for word in shared)


def _split(words: Sequence[Word], ends: Callable[[Word], bool]) -> Iterator[list[Word]]:
    part: list[Word] = []
    for word in words:
        if ends(word):
            if part:
                yield part
            part = []
        else:
            part.append(word)
    if part:
        yield part


def _weighs(word: Word) -> bool:
    return (
        word.is_word and word.form not in _LIGHT and (len(word.form) > 3 or not word.form.isalpha())
    )


@functools.lru_cache(maxsize=100_000)
def _akin(word: str, other: str) -> bool:
    if word == other:
        return True
    return word[:3] == other[:3] and _likeness(word, other) >= _AKIN


@functools.cache
def _parts(phrase: str) -> tuple[str, ...]:
    return tuple(
        word.form + ("*" if phrase[word.end : word.end + 1] == "*" else "")
        for word in words_of(phrase)
    )


@functools.lru_cache(maxsize=100_000)
def _is(word: str, part: str) -> bool:
    if part.endswith("*"):
        return word.startswith(part[:-1])
    if word == part:
        return True
    long_enough = min(len(word), len(part)) >= _SHORTEST_LOOSE
    return long_enough and word[0] == part[0] and _likeness(word, part) >= _ALIKE


def _likeness(word: str, other: str) -> float:
    """Return how alike two words are, 0 to 100."""
    from rapidfuzz import fuzz

    return fuzz.ratio(word, other)
