"""When each exported text was first exported as it stands, remembered on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from time import time
from typing import Any, cast

from labs_lib.errors import LabError
from labs_lib.files import write_json
from labs_lib.paths import data_dir

# 2026-01-01: no text of the course is older, whatever a machine's clock says.
EARLIEST = 1_767_225_600
LATEST = 2**32


def revised(texts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return each text's stamp, in seconds: the same for the same text, later for a changed one.

    A text that this machine has not exported as it stands is stamped by the clock, so that it is
    later than one that another machine exported before, whatever the dates of their files. A
    second is added, since a reader stamps a corrected text when it takes it in.
    """
    path = data_dir() / "exported-notes.json"
    try:
        known: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        known = {}
    before: dict[str, Any] = cast("dict[str, Any]", known) if isinstance(known, dict) else {}
    now = min(max(int(time()) + 1, EARLIEST), LATEST)
    stamps: dict[str, int] = {}
    given: dict[str, Any] = {}
    for name, text in texts.items():
        digest = hashlib.sha256("\x1f".join(text).encode()).hexdigest()
        stamp = now
        match before.get(name):
            case {"sha256": str(other), "stamp": int(last)} if EARLIEST <= last <= LATEST:
                stamp = last if other == digest else max(now, last + 1)
            case _:
                pass
        stamps[name] = stamp
        given[name] = {"sha256": digest, "stamp": stamp}
    if {**before, **given} != before:
        # Where nothing can be remembered, every text counts as a new one.
        with contextlib.suppress(LabError):
            write_json(path, {**before, **given})
    return stamps
