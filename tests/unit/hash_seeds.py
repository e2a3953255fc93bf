"""What a program prints under several hash seeds: one thing, if it depends on no set's order."""

from __future__ import annotations

import subprocess
import sys


def outputs_of(program: str) -> set[bytes]:
    """Return the different outputs of a program that is run under two hash seeds."""
    return {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
