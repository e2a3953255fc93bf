"""Personal data in a text, by pattern: a pattern finds some of it and proves nothing.

Names, addresses, health: none of it has a pattern.  What is found is counted and masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def luhn(number: str) -> bool:
    """Return whether a card number's last digit fits the others (ISO/IEC 7812, Luhn)."""
    digits = [int(each) for each in number if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return len(digits) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban_fits(number: str) -> bool:
    """Return whether an IBAN's two check digits fit the rest (ISO 13616, modulo 97)."""
    plain = re.sub(r"\s", "", number).upper()
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


_DATE = re.compile(r"\b\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d\b")


def _phone_like(number: str) -> bool:
    """Return whether there are as many digits as a phone number has, with its code or grouped."""
    if _DATE.search(number):
        return False
    digits = sum(map(str.isdigit, number))
    grouped = bool(re.search(r"\d[\s./()-]+\d", number))
    return 8 <= digits <= 15 and (number.startswith("+") or (grouped and digits >= 9))


_PATTERNS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "e-mail address": (
        re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"),
        lambda found: True,
    ),
    "IBAN": (
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        iban_fits,
    ),
    "card number": (
        re.compile(r"(?<![\d-])[2-6]\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}(?![\d-])"),
        lambda found: 13 <= sum(map(str.isdigit, found)) <= 19 and luhn(found),
    ),
    "phone number": (
        # From a plus, a zero or a bracket; or three groups, as in 555-123-4567.
        re.compile(
            r"(?<![\w.,/-])(?<!\d )(?:\+\d|\(\+?\d|0\d)[\d\s()./-]{6,18}\d(?![\w-])"
            r"|(?<![\w.,/-])\d{3}[-.]\d{3}[-.]\d{4}(?![\w-])"
        ),
        _phone_like,
    ),
}
KINDS = tuple(_PATTERNS)


def personal_data(text: str) -> dict[str, list[str]]:
    """Return kind → what was found of it, as it stands in the text; no place counts twice."""
    found: dict[str, list[str]] = {}
    for kind, (pattern, fits) in _PATTERNS.items():
        matches = [match for match in pattern.finditer(text) if fits(match[0])]
        if matches:
            found[kind] = [match[0] for match in matches]
        for match in reversed(matches):  # a card's digits are no phone number too
            text = f"{text[: match.start()]}{' ' * len(match[0])}{text[match.end() :]}"
    return found


def masked(text: str) -> str:
    """Return personal data with a • in place of each letter and digit but the first and last."""
    ends = [at for at, each in enumerate(text) if each.isalnum()]
    keep = {ends[0], ends[-1]} if len(ends) > 4 else set()
    return "".join(
        each if at in keep or not each.isalnum() else "•" for at, each in enumerate(text)
    )
