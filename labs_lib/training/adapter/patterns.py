"""A stranger's regular expressions, tried on the model's module names before PEFT uses them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from labs_lib.errors import LabError, shorten
from labs_lib.models.bounded import OutOfBoundsError, run_bounded

# Of these a pattern can be made that takes no more steps than it has letters.
_PLAIN = re.compile(r"[\w.\-]{1,256}")
_PLAIN_AT_MOST = 512

# PEFT matches these as expressions where they are one text …
_WHEN_TEXT = ("target_modules", "exclude_modules", "feedforward_modules", "target_parameters")
# … these whether they are one text or several …
_ALWAYS = ("layers_pattern", "modules_to_save")
# … and of these the keys.
_KEYS = (
    "rank_pattern",
    "alpha_pattern",
    "lambda_pattern",
    "n_frequency_pattern",
    "block_size_pattern",
)


def patterns_of(config: dict[str, Any]) -> Iterator[str]:
    """Yield each part of an adapter's configuration that PEFT reads as a regular expression."""
    for name in _WHEN_TEXT:
        if isinstance(config.get(name), str):
            yield config[name]
    for name in _ALWAYS:
        value = config.get(name)
        yield from _texts([value] if isinstance(value, str) else value)
    for name in _KEYS:
        yield from _texts(config.get(name))


def check_patterns(config: dict[str, Any], names: Iterable[str]) -> None:
    """Raise `LabError` for an expression that is none, or that does not end on `names`.

    A plain name needs no trial. All others are tried on the model's module names in a process of
    their own, which is stopped after two seconds of computing: PEFT itself would never come back.
    """
    patterns = list(dict.fromkeys(patterns_of(config)))
    odd = [pattern for pattern in patterns if not _PLAIN.fullmatch(pattern)]
    if not odd and len(patterns) <= _PLAIN_AT_MOST:
        return
    tried = patterns if len(patterns) > _PLAIN_AT_MOST else odd
    try:
        error = run_bounded("match", {"patterns": tried, "names": list(names)})["error"]
    except OutOfBoundsError:
        longest = max(tried, key=len)
        raise LabError(
            f"adapter: adapter_config.json: the regular expression {shorten(longest)} does not "
            f"come to an end on this model's module names; write the modules' names as a list"
        ) from None
    if error:
        raise LabError(f"adapter: adapter_config.json: no regular expression: {error}")


def _texts(value: Any) -> Iterator[str]:
    yield from (text for text in value or () if isinstance(text, str))
