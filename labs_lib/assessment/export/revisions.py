"""When each exported text last changed, remembered on this machine from export to export."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from labs_lib.errors import LabError
from labs_lib.files import write_json
from labs_lib.paths import data_dir

# 2026-01-01: no text of the course is older, whatever a file's date says.
EARLIEST = 1_767_225_600
LATEST = 2**32


def revised(texts: Mapping[str, Sequence[str]], written: Mapping[str, int]) -> dict[str, int]:
    """Return each text's stamp, in seconds: the same for the same text, later for a changed one.

    A new text's stamp is when its file was written (`written`).  A changed one's is now and a
    second, since its reader may have stamped the text before when it took that in.
    """
    path = data_dir() / "exported-notes.json"
    try:
        known: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        known = {}
    before: dict[str, Any] = known if isinstance(known, dict) else {}
    stamps: dict[str, int] = {}
    now: dict[str, Any] = {}
    for name, text in texts.items():
        digest = hashlib.sha256("\x1f".join(text).encode()).hexdigest()
        stamp = min(max(written[name], EARLIEST), LATEST)
        match before.get(name):
            case {"sha256": str(other), "stamp": int(last)} if EARLIEST <= last <= LATEST:
                stamp = last if other == digest else max(stamp, last + 1, int(time.time()) + 1)
        stamps[name] = stamp
        now[name] = {"sha256": digest, "stamp": stamp}
    if {**before, **now} != before:
        # A deck that cannot be remembered is stamped by its file alone.
        with contextlib.suppress(LabError):
            write_json(path, {**before, **now})
    return stamps
