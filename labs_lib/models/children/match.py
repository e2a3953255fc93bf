"""Try regular expressions on names: a pattern that never ends then ends with this process.

In: {"patterns": [...], "names": [...]}. Out: {"error": null, or "PATTERN: what is wrong"}.
"""

from __future__ import annotations

import json
import re
import sys

from limits import hold_to  # beside this file, which is run by its path

hold_to(cpu_seconds=2, memory_bytes=1 << 30)


def judge(patterns: list[str], names: list[str]) -> str | None:
    """Return what is wrong with the first pattern that is none, or None after all matched."""
    for pattern in patterns:
        try:
            # PEFT sets a pattern between its own parts: tried so, and alone.
            for form in (
                pattern,
                rf"(.*\.)?({pattern})$",
                rf"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\.",
            ):
                compiled = re.compile(form)
                for name in names:
                    compiled.match(name)
                    compiled.fullmatch(name)
        except (re.error, OverflowError, RecursionError, MemoryError) as error:
            return f"{pattern[:60]!r}: {error or type(error).__name__}"
    return None


request = json.load(sys.stdin)
json.dump({"error": judge(request["patterns"], request["names"])}, sys.stdout)
