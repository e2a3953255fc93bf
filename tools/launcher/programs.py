"""Programs of the environment: the variables they see, and how they are run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from tools.launcher import places
from tools.launcher.stopping import Stopped, die_with_parent


def child_environment() -> dict[str, str]:
    """Return the variables for programs of the environment, whose tools come first on PATH.

    Of Python's own variables those stay that change no result: another path, no asserts or
    warnings as errors would be another course. Compiled files may be written: nothing was compiled
    at installation. A letter that an encoding lacks is written as its number.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_OF_PYTHON or not name.startswith(("PYTHON", "__PYVENV"))
    }
    variables |= {"VIRTUAL_ENV": str(places.VENV), "PYTHONUTF8": "1"}
    variables["PATH"] = os.pathsep.join(
        [str(places.venv_python().parent), variables.get("PATH", "")]
    )
    encoding = variables.get("PYTHONIOENCODING", "")
    if encoding and ":" not in encoding:
        variables["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
    return variables


KEPT_OF_PYTHON = (
    "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONPYCACHEPREFIX",
    "PYTHONUNBUFFERED",
)  # fmt: skip


def output_of(command: Sequence[str], variables: dict[str, str]) -> tuple[int, str]:
    """Run a program; return its exit status and what it printed."""
    done = subprocess.run(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", cwd=places.ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def run_in_environment(*arguments: str, **variables: str) -> int:
    """Run the environment's Python in the course's folder; return its exit status.

    Where this program is stopped, that one is given time to end what it started.
    """
    process = subprocess.Popen(
        [str(places.venv_python()), *arguments], cwd=places.ROOT,
        env=child_environment() | variables,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )  # fmt: skip
    try:
        return process.wait()
    except Stopped:
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
        raise
    finally:  # Ctrl+C in a terminal has reached both
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
