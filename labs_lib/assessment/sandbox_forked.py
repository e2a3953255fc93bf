"""Student code in a fork of the notebook's process, on Linux."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.assessment.sandbox_clock import Clock
from labs_lib.assessment.sandbox_report import MOST_PROCESSES, RESULT_BYTES, Apart, Ended

START_SECONDS = 60.0
_STARTED = b"started\n"


def run_forked(
    work: Callable[[], Any], student_files: tuple[str, ...], seconds: float, output_bytes: int
) -> Apart:
    """Call `work` in a fork and return how it ended; raises OSError if there can be none."""
    folder = Path(tempfile.mkdtemp(prefix="labs-check-"))
    try:
        return run_forked_in(folder, work, student_files, seconds, output_bytes)
    finally:
        # However deep the code dug in there.
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(folder, ignore_errors=True)


def run_forked_in(
    folder: Path,
    work: Callable[[], Any],
    student_files: tuple[str, ...],
    seconds: float,
    output_bytes: int,
) -> Apart:
    """Call `work` in a fork that may write into `folder`, and return how it ended."""
    ended = watch_fork(folder, work, student_files, seconds, output_bytes)
    return ended.verdict(student_files, seconds, output_bytes)


def watch_fork(
    folder: Path,
    work: Callable[[], Any],
    student_files: tuple[str, ...],
    seconds: float,
    output_bytes: int,
) -> Ended:
    """Call `work` in a fork that may write into `folder`, and return what was seen of its end."""
    with _Child(work, student_files, folder) as child:
        child.watch(seconds, output_bytes)
    return child.ended()


class _Child:
    """A forked process, from its start to its certain end."""

    def __init__(self, work: Callable[[], Any], student_files: tuple[str, ...], folder: Path):
        from labs_lib.assessment import sandbox_child

        self.printed = bytearray()
        self.result = bytearray()
        self.clock: Clock | None = None
        self.late = self.idle = self.flooded = self.overfull = self.swarmed = False
        self.tasks = _tasks_of_the_machine()
        self.status = 0
        self.result_read, result_write = os.pipe()
        self.output_read, output_write = os.pipe()
        sys.stdout.flush()
        try:
            with warnings.catch_warnings():
                # Python warns of forking beside threads; the child uses none of theirs.
                warnings.simplefilter("ignore")
                self.pid = os.fork()
        except OSError:
            for descriptor in (self.result_read, self.output_read, result_write, output_write):
                os.close(descriptor)
            raise
        if self.pid == 0:
            try:
                os.setsid()
                sandbox_child.settle(output_write, result_write)
                report = sandbox_child.report_of(
                    work,
                    student_files,
                    folder,
                    lambda: sandbox_child.send(result_write, _STARTED),
                )
                sandbox_child.send(result_write, sandbox_child.report_line(report))
            finally:
                os._exit(0)
        os.close(result_write)
        os.close(output_write)
        for descriptor in (self.result_read, self.output_read):
            os.set_blocking(descriptor, False)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        _kill_group(self.pid)
        with contextlib.suppress(ChildProcessError):
            self.status = os.waitpid(self.pid, 0)[1]
        _kill_group(self.pid, alone=False)
        for descriptor in (self.result_read, self.output_read):
            os.close(descriptor)

    def watch(self, seconds: float, output_bytes: int) -> None:
        """Read what comes until there is a report, an end, a flood or no time left."""
        begun = time.monotonic()
        with contextlib.ExitStack() as held:
            ready = held.enter_context(selectors.DefaultSelector())
            ready.register(self.result_read, selectors.EVENT_READ)
            ready.register(self.output_read, selectors.EVENT_READ)
            exited = _exit_descriptor(self.pid)
            if exited is not None:
                held.callback(os.close, exited)
                ready.register(exited, selectors.EVENT_READ)
            ended = False
            while not ended:
                wait = 0.05 if self.clock is None else max(0.02, self.clock.left_seconds)
                happened = [key.fd for key, _ in ready.select(min(wait, 0.2))]
                if self.result_read in happened and not _fill(self.result_read, self.result):
                    ready.unregister(self.result_read)
                if self.output_read in happened and not _fill(self.output_read, self.printed):
                    ready.unregister(self.output_read)
                if self.clock is None and self.result.startswith(_STARTED):
                    self.clock = Clock(self.pid, seconds)
                ended = exited in happened or self._is_done(begun, output_bytes)
            # What was written before the end.
            while _fill(self.result_read, self.result) and len(self.result) <= RESULT_BYTES:
                pass
            while _fill(self.output_read, self.printed) and len(self.printed) <= output_bytes:
                pass
            self.flooded = len(self.printed) > output_bytes

    def _is_done(self, begun: float, output_bytes: int) -> bool:
        if len(self.printed) > output_bytes:
            return True
        if len(self.result) > RESULT_BYTES + 100:
            self.overfull = True
            return True
        if self.result.endswith(b"\n") and len(self.result) > len(_STARTED):
            return True
        if _tasks_of_the_machine() > self.tasks + 2 * MOST_PROCESSES:
            self.swarmed = _processes_in_session(self.pid) > MOST_PROCESSES
            if self.swarmed:
                return True
        if self.clock is None:
            self.late = self.idle = time.monotonic() - begun > START_SECONDS
        elif self.clock.is_late():
            self.late, self.idle = True, self.clock.is_idle()
        return self.late or os.waitid(os.P_PID, self.pid, _LOOK) is not None

    def ended(self) -> Ended:
        """Return how the process ended, once it has."""
        return Ended(
            bytes(self.result).removeprefix(_STARTED).partition(b"\n")[0],
            bytes(self.printed),
            os.waitstatus_to_exitcode(self.status),
            self.late,
            self.idle,
            self.flooded,
            self.swarmed,
            self.overfull,
        )


_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT if hasattr(os, "WNOWAIT") else 0


def _fill(descriptor: int, kept: bytearray) -> bool:
    """Read once; return whether there may be more."""
    try:
        chunk = os.read(descriptor, 65536)
    except BlockingIOError:
        return False
    except OSError:
        return False
    kept += chunk
    return bool(chunk)


def _tasks_of_the_machine() -> int:
    try:
        return int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[1])
    except (OSError, ValueError, IndexError):
        return 0


def _processes_in_session(session: int) -> int:
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # The name in brackets may hold anything; state, parent, group and session follow it.
        with contextlib.suppress(OSError, IndexError):
            found += stat.read_bytes().rpartition(b")")[2].split()[3] == b"%d" % session
    return found


def _exit_descriptor(pid: int) -> int | None:
    opener = getattr(os, "pidfd_open", None)
    try:
        return opener(pid) if opener is not None else None
    except OSError:
        return None


def _kill_group(pid: int, alone: bool = True) -> None:
    # The group may not exist yet, or no longer; the process itself is then enough.
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        if alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
