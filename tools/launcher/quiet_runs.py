"""Programs of a set-up, run side by side without a word unless one fails."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from tools.launcher import places
from tools.launcher.complaints import CourseError, explain
from tools.launcher.pip_settings import set_up_environment


def run_quietly(commands: Sequence[Sequence[str]], lock: int) -> None:
    """Run programs side by side; the first that fails is told in one line.

    They inherit the set-up's lock: where this program is killed and they live on, the next
    set-up waits for them.
    """
    failures = []
    with contextlib.ExitStack() as stack:
        running = []
        for command in commands:
            output = stack.enter_context(
                tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            )
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=set_up_environment(), cwd=places.ROOT,
                pass_fds=() if os.name == "nt" else (lock,),
            )  # fmt: skip
            running.append((command, process, output))
        try:
            wait_for([process for _, process, _ in running])
        except BaseException:
            for _, process, _ in running:
                process.terminate()
                process.wait()
            raise
        for command, process, output in running:
            if process.returncode:
                output.seek(0)
                failures.append((command, output.read()))
    for command, output in failures:
        message = explain(output)
        if len(commands) == 1 or message.startswith(("no network", "the disk")):
            raise CourseError(message)
        run_quietly([command], lock)  # two pips may have met in one folder: once more, alone


def wait_for(processes: Sequence[subprocess.Popen]) -> None:
    """Wait for programs to end; a terminal sees the seconds pass."""
    started = time.monotonic()
    while any(process.poll() is None for process in processes):
        time.sleep(0.1)
        if sys.stdout.isatty():
            print(f"\r  {time.monotonic() - started:4.0f} s ", end="", flush=True)
    if sys.stdout.isatty():
        print("\r", end="", flush=True)
