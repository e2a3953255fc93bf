"""Run one of the course's small programs on a stranger's text, with an end to time and memory.

A regular expression or a chat template can run for years, and no thread of this process can stop
it. A process can be stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

_CHILDREN = Path(__file__).with_name("children")
SECONDS = 20.0
"""Wall time, for a machine that is busy; the child's computing time is limited further."""


class OutOfBoundsError(Exception):
    """The program did not end in its time, or the system ended it at one of its limits."""


def run_bounded(program: Literal["match", "render"], request: Any, seconds: float = SECONDS) -> Any:
    """Return what `children/PROGRAM.py` answers to `request`; both are JSON values.

    Raises `OutOfBoundsError` where it gives no answer within `seconds` and its own limits.
    """
    command = [sys.executable, "-E", "-c", _START, str(_CHILDREN), program]
    try:
        ended = subprocess.run(
            command,
            input=json.dumps(request),  # ASCII, whatever the text holds
            capture_output=True,
            encoding="ascii",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OutOfBoundsError from None
    if ended.returncode == 1 and "MemoryError" not in ended.stderr:
        # An exception of the program's own: the text that it was to judge is not to blame.
        last = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RuntimeError(f"children/{program}.py failed: {last}")
    if ended.returncode:
        raise OutOfBoundsError
    return json.loads(ended.stdout)


# The children's folder takes the current one's place on the path: they share `limits`, and no
# file that lies where the course is run from stands in for the standard library's. Without
# PYTHONPATH (-E), and with the packages that a user installed for themselves.
_START = """
import sys
folder, program = sys.argv[1:]
sys.path[0] = folder
import runpy
runpy.run_path(f"{folder}/{program}.py", run_name="__main__")
"""
