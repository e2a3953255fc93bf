"""Near-duplicates: texts that differ in case, a typing slip or a filler word.

Candidates come from MinHash (Broder 1997) in bands, so that 20,000 texts need not be compared with
one another; `rapidfuzz` decides.  No language is assumed: words are runs of Unicode letters and
digits, and shingles are characters, which a script without spaces has too.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

LEAST_ALIKE = 90
"""Per cent of the characters that two near-duplicates share, in order (rapidfuzz's ratio)."""

FOR_A_SLIP, FOR_A_WORD = 20, 100
"""Characters for which near-duplicates may have a word mistyped, or exchanged for another."""

SLIP = 80
"""Per cent of the characters that a word shares with the same word mistyped, in order."""

COMMON = 0.05
"""A word in a larger share of the texts belongs to their pattern and is not compared."""

LEAST_COMMON = 10
"""Texts in which a word must be to belong to their pattern, in a small set."""

SHINGLE = 4
MOST_SHINGLES = 256
"""Shingles that represent a long text: those with the lowest hashes, the same ones in its twin."""

BANDS, BAND = 16, 4
"""Texts that share 60 per cent of their shingles meet in a band with a chance of 0.89."""

LONG = 400
"""Characters beyond which texts are compared by their words: letters would take minutes."""

MOST_TOGETHER = 2000
"""Texts of one bucket that are compared with one another; more are taken in their sorted order."""


def normalized(text: str) -> str:
    """Return a text's words in lower case, one blank between them: what a near-duplicate shares."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """Return the runs of letters, digits and their marks, in lower case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


# \w knows no combining marks, without which many scripts' words would fall apart.
_WORD = re.compile(r"[^\W_](?:\w|[\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0e31-\u0e4e])*")


# A word, or twelve letters of one in a script without spaces.
_PIECE = re.compile(r"\S{1,12}")


class Groups:
    """Positions that belong together; to join two joins all that belong to either."""

    def __init__(self, count: int):
        self._parents = list(range(count))

    def of(self, position: int) -> int:
        """Return the number of the position's group."""
        while self._parents[position] != position:
            self._parents[position] = self._parents[self._parents[position]]
            position = self._parents[position]
        return position

    def join(self, one: int, other: int) -> None:
        """Make one group of two."""
        one, other = sorted((self.of(one), self.of(other)))
        self._parents[other] = one

    def larger_than_one(self) -> tuple[tuple[int, ...], ...]:
        """Return the groups of at least two positions, in order."""
        members: dict[int, list[int]] = defaultdict(list)
        for position in range(len(self._parents)):
            members[self.of(position)].append(position)
        return tuple(tuple(each) for each in members.values() if len(each) > 1)


def join_near_duplicates(texts: Sequence[str], groups: Groups) -> None:
    """Join the positions of texts that are equal or near-duplicates; an empty text is like none."""
    first: dict[str, int] = {}
    for position, text in enumerate(map(normalized, texts)):
        if text:
            groups.join(first.setdefault(text, position), position)
    distinct = list(first)
    places = list(first.values())
    for one, other in _alike(distinct):
        groups.join(places[one], places[other])


def _without_pattern(texts: list[str]) -> list[str]:
    """Return the texts without the words that are in many of them; those left empty stay whole."""
    counts = Counter(word for text in texts for word in set(text.split()))
    most = max(LEAST_COMMON, COMMON * len(texts))
    kept = (" ".join(word for word in text.split() if counts[word] <= most) for text in texts)
    return [part or text for part, text in zip(kept, texts, strict=True)]


def _alike(whole: list[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs of near-duplicates, enough of them to join each group."""
    import numpy as np
    from rapidfuzz import fuzz, process

    texts = _without_pattern(whole)
    joined = Groups(len(texts))
    compared: set[tuple[int, ...]] = set()
    judged: set[tuple[int, int]] = set()  # texts of one long document meet in most of the bands
    for bucket in _buckets(texts):
        if tuple(bucket) in compared or len({joined.of(each) for each in bucket}) == 1:
            continue
        compared.add(tuple(bucket))
        members = [texts[each] for each in bucket]
        long = max(map(len, members)) > LONG
        units = [_PIECE.findall(each) for each in members] if long else members
        scores = process.cdist(
            units, units, scorer=fuzz.ratio, score_cutoff=LEAST_ALIKE, dtype=np.uint8
        )
        for one, other in zip(*np.nonzero(np.triu(scores, 1)), strict=True):
            pair = bucket[one], bucket[other]
            known = pair in judged or joined.of(pair[0]) == joined.of(pair[1])
            judged.add(pair)
            characters = min(len(members[one]), len(members[other]))
            if not known and _same_words(whole[pair[0]], whole[pair[1]], characters):
                joined.join(*pair)
                yield pair


def _same_words(one: str, other: str, characters: int) -> bool:
    """Return whether two texts differ by slips and left-out words, not by what they are about."""
    from rapidfuzz import fuzz

    if one.replace(" ", "") == other.replace(" ", ""):
        return True
    first, second = Counter(one.split()), Counter(other.split())
    left, right = list((first - second).elements()), list((second - first).elements())
    # A word that is only left out or added exchanges nothing.
    exchanged = min(len(left), len(right))
    slips, others = characters // FOR_A_SLIP, characters // FOR_A_WORD
    if exchanged > slips + others:
        return False
    found = sum(
        any(_digits(a) == _digits(b) and fuzz.ratio(a, b) >= SLIP for b in right) for a in left
    )
    found = min(found, exchanged)
    return found <= slips and exchanged - found <= others


def _digits(word: str) -> str:
    return "".join(filter(str.isdigit, word))


def _buckets(texts: list[str]) -> Iterator[list[int]]:
    """Yield the positions of texts that agree in a band of their signatures."""
    signatures = [_signature(text) for text in texts]
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for position, signature in enumerate(signatures):
            buckets[signature[band].tobytes()].append(position)
        for bucket in buckets.values():
            if len(bucket) > 1:
                bucket.sort(key=texts.__getitem__)
                for start in range(0, len(bucket), MOST_TOGETHER):
                    if len(part := bucket[start : start + MOST_TOGETHER]) > 1:
                        yield part


def _signature(text: str) -> Any:
    """Return the MinHash of a text's shingles, (BANDS, BAND) numbers."""
    import numpy as np

    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(letters) < SHINGLE:
        letters = np.pad(letters, (0, SHINGLE - len(letters)))
    hashes = np.zeros(len(letters) - SHINGLE + 1, dtype=np.uint64)
    for at in range(SHINGLE):  # all arithmetic is modulo 2**64
        hashes = (hashes ^ letters[at : at + len(hashes)]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    hashes = np.unique(hashes)[:MOST_SHINGLES]
    factors, terms = _functions()
    return ((hashes[:, None] * factors + terms) >> np.uint64(32)).min(axis=0).reshape(BANDS, BAND)


@cache
def _functions() -> tuple[Any, Any]:
    """Return an odd factor and a term for each hash function, always the same."""
    import numpy as np

    drawn = np.random.default_rng(0).integers(0, 2**63, size=(2, BANDS * BAND), dtype=np.uint64)
    return drawn[0] * np.uint64(2) + np.uint64(1), drawn[1]
