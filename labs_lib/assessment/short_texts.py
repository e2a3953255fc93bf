"""The forms in which short answers are compared: one width, one hyphen, no case, no quotes."""

from __future__ import annotations

import re
import unicodedata

from labs_lib.assessment.written_numbers import ascii_digits

_ONE_HYPHEN = str.maketrans({
    **dict.fromkeys("‐‑‒–—−﹣", "-"), **dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff\u00ad", ""),
})  # fmt: skip


def normal_form(text: str, case_sensitive: bool = False) -> str:
    """Return the form in which short texts are compared.

    One width of letters (NFKC), ASCII digits, one kind of hyphen, single spaces, no quotes,
    back-ticks or full stop around it, and no case unless it counts.
    """
    plain = text
    if not text.isascii():
        plain = ascii_digits(unicodedata.normalize("NFKC", text.translate(_ONE_HYPHEN)))
    plain = " ".join(plain.split()).strip("`'\"“”‘’«».!?;:, ")
    return plain if case_sensitive else plain.casefold()


def loose_form(text: str, case_sensitive: bool = False) -> str:
    """Return the form in which a short text is looked up if its normal form is not expected.

    Without an article or "it is" before it, brackets after it, or any space, hyphen or
    underscore inside it.
    """
    plain = normal_form(text, case_sensitive)
    plain = re.sub(r"^(?:(?:it is|it's|its|the|an?|answer:?)\s+)+", "", plain, flags=re.I)
    plain = re.sub(r"\s*\([^()]{0,40}\)$", "", plain)
    return re.sub(r"[\s_\-`'\"]", "", plain)
