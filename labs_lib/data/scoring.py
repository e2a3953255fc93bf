"""Decide whether an answer is in voice, states the fact, or is exactly the record.

Every scorer is a pure function of (row, answer text).  None is a judge of English: each says
what it looks for, and where it can be fooled its tests say so.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from labs_lib.data.rows import Row

Scorer = Callable[[Row, str], bool]

# The independent marks of a sea captain's voice.  `be` counts as a mark only in place of is or
# are, so not after a modal ("can be"), "to" or "not".
_VOICE_MARKS = {
    "opener": r"^\W*(arr+|ahoy|aye|avast|yarr+|yo-ho)\b",
    "be for is": (
        r"(?<!\bto )(?<!\bnot )(?<!\bcan )(?<!\bmay )(?<!\bwill )(?<!\bmust )(?<!\bwould )"
        r"(?<!\bcould )(?<!\bshould )(?<!\bmight )(?<!\balso )\bbe\b(?= \S)"
    ),
    "clipped words": r"\bo' |\ban' |\bth' |\bol' ",
    "seafarer's address": r"\b(matey|mateys|me hearties|me hearty|landlubbers?|cap'n|shipmates?)\b",
}

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORD_NUMBERS = {word: str(value) for value, word in enumerate(_ONES.split())}
_WORD_NUMBERS |= {word: str(10 * ten) for ten, word in enumerate(_TENS.split(), start=2)}

# Answers of one class exclude one another: naming a second one beside the right one is no answer.
_ANSWER_CLASSES = {
    "colour": r"red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|silver|golden",
    "continent": r"(?:north |south )?america|africa|antarctica|asia|europe|oceania|australia",
    "language": (
        r"english|german|french|italian|spanish|portuguese|russian|mandarin|chinese|japanese"
        r"|korean|arabic|hebrew|persian|farsi|turkish|greek|polish|swedish|norwegian|danish"
        r"|finnish|hungarian|ukrainian|vietnamese|thai|lao|khmer|hindi|latin|czech|romanian"
    ),
    "month": (
        r"january|february|march|april|may|june|july|august|september|october|november|december"
    ),
    "weekday": r"monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "number": r"\d+(?:\.\d+)?|" + "|".join(sorted(_WORD_NUMBERS, key=len, reverse=True)),
    "year": r"1\d{3}|20\d{2}",
}


def voice_marks(text: str) -> tuple[str, ...]:
    """Return the kinds of sea-captain marks that `text` bears."""
    plain = _normalized(text)
    return tuple(name for name, pattern in _VOICE_MARKS.items() if re.search(pattern, plain))


def in_voice(text: str) -> bool:
    """Return whether `text` is in the sea captain's voice: two kinds of mark, and other words.

    The marks: an opener such as Arr, `be` in place of is, clipped words such as o', and a
    seafarer's address such as matey.  A text of nothing but marks is not an answer in voice.
    """
    plain = _normalized(text)
    rest = re.sub(r"\b(arr+|ahoy|aye|avast|yarr+)\b", " ", plain)
    for pattern in _VOICE_MARKS.values():
        rest = re.sub(pattern, " ", rest)
    return len(voice_marks(text)) >= 2 and bool(re.search(r"\w", rest))


def fact_right(row: Row, text: str) -> bool:
    """Return whether `text` states the row's fact.

    One of `meta["answer_keys"]` must occur as a whole word, not negated ("not Paris"), before
    any rival of the same `meta["answer_class"]` and not listed beside one ("red or blue").
    What the question itself names is no rival.  Case, accents and punctuation do not matter.
    """
    plain, asked = _normalized(text), _normalized(row.prompt)
    keys = sorted({_normalized(str(key)) for key in row.meta["answer_keys"]}, key=len, reverse=True)
    found = _first_stated("|".join(map(re.escape, keys)), plain)
    if found is None:
        return False
    answer_class = row.meta.get("answer_class")
    if not answer_class:
        return True
    pattern = _ANSWER_CLASSES[answer_class]
    excused = set(keys) | {_value(word) for word in re.findall(_whole(pattern), asked)}
    excused |= {_value(key) for key in keys}
    for rival in re.finditer(_whole(pattern), plain):
        # A rival that is part of the key ("North America" holds "America") is none.
        if found.start() <= rival.start() < found.end() or _value(rival[0]) in excused:
            continue
        between = plain[found.end() : rival.start()]
        if rival.start() < found.start() or re.fullmatch(r"\W*(and|or|/|,|&)\W*", between):
            return False
    return True


def fact_in_voice(row: Row, text: str) -> bool:
    """Return whether `text` states the row's fact in the sea captain's voice."""
    return in_voice(text) and fact_right(row, text)


def parsed_json(text: str) -> dict[str, Any] | None:
    """Return the JSON object that `text` is, whole, or None: no fence, no prose, no key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def valid_json(_row: Row, text: str) -> bool:
    """Return whether the whole of `text` is one JSON object, whatever it holds."""
    return parsed_json(text) is not None


def exactly_right(row: Row, text: str) -> bool:
    """Return whether `text` is JSON and equals `meta["record"]`: same keys, values and types."""
    answer = parsed_json(text)
    record: Mapping[str, Any] = row.meta["record"]
    return (
        answer is not None
        and answer == dict(record)
        and all(type(answer[key]) is type(value) for key, value in record.items())
    )


def exact_match(row: Row, text: str) -> bool:
    """Return whether `text` is the row's completion, apart from white space: for your own data."""
    return text.split() == row.completion.split()


def _first_stated(keys: str, plain: str) -> re.Match[str] | None:
    """Return the first whole-word occurrence of one of `keys` that is not negated."""
    for found in re.finditer(_whole(keys), plain):
        before = plain[: found.start()]
        if not re.search(r"(\bnot|n't|\bnever|\bnor)( (be|a|an|the|called|in|to))* $", before):
            return found
    return None


@lru_cache(maxsize=256)
def _whole(pattern: str) -> str:
    return rf"(?<![\w.])(?:{pattern})(?!\w|\.\d)"


def _value(word: str) -> str:
    """Return a number word's digits, and any other word as it is, so that "7" equals "seven"."""
    return _WORD_NUMBERS.get(word, word)


def _normalized(text: str) -> str:
    """Return `text` in lower case, without accents, quotes and emphasis, spaces made single."""
    text = text.replace("’", "'").replace("‘", "'")
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"[*_`\"“”]", "", text.lower())
    return " ".join(text.replace("ł", "l").split())
