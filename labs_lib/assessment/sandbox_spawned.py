"""Student code in a new Python, where a fork is not safe or not to be had."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.assessment.plain import plain_text
from labs_lib.assessment.sandbox_clock import Clock
from labs_lib.assessment.sandbox_report import (
    RESULT_BYTES,
    Apart,
    exit_note,
    printed_text,
    read_report,
)
from labs_lib.shown import type_name

START_SECONDS = 300.0
PICKLE_SECONDS = 10.0


def run_spawned(
    work: Callable[[], Any], student_files: tuple[str, ...], seconds: float, output_bytes: int
) -> Apart:
    """Call `work` in a new Python and return how it ended; raises OSError if there can be none."""
    with tempfile.TemporaryDirectory(prefix="labs-check-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        failed = _write_payload(folder, work, student_files, output_bytes)
        return failed or _Spawned(student_files, seconds, output_bytes).run(folder)


def _write_payload(
    folder: Path, work: Callable[[], Any], student_files: tuple[str, ...], output_bytes: int
) -> Apart | None:
    """Pickle the work into the folder; return how that ended if it failed.

    Pickling a value calls its methods (`__reduce__`), so on Linux a fork does it: it computes
    nothing, which is safe beside CUDA and threads. Elsewhere a method that ends its process ends
    the notebook's.
    """
    if sys.platform == "linux" and getattr(work, "is_foreign", False):
        from labs_lib.assessment.sandbox_forked import run_forked_in

        def write() -> str:
            made = _payload(work, student_files)
            if isinstance(made, Apart):
                return made.message
            (folder / "work").write_bytes(made)
            return ""

        apart = run_forked_in(folder, write, student_files, PICKLE_SECONDS, output_bytes)
        if apart.ending != "returned":
            return apart
        if not apart.value:
            return None
        if "CUDA" not in str(apart.value):
            return _uncopied(str(apart.value))
    payload = _payload(work, student_files)
    if isinstance(payload, Apart):
        return payload
    (folder / "work").write_bytes(payload)
    return None


class _TooSlow(BaseException):
    """Thrown into the thread whose pickling takes too long."""


def _payload(work: Callable[[], Any], student_files: tuple[str, ...]) -> bytes | Apart:
    import dill  # pyright: ignore[reportMissingTypeStubs]  # brings no types

    pickling: Any = dill

    reason: BaseException | None = None
    # First with no more of the notebook than the work refers to; some closures need all.
    for recurse in (True, False):
        try:
            with _at_most(PICKLE_SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # dill's, of what it leaves out
                return pickling.dumps((work, student_files), recurse=recurse)
        except _TooSlow:
            message = f"Your code ran for more than {PICKLE_SECONDS:g} s while it was copied."
            return Apart("too long", message=message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # An object's own __reduce__ may raise anything, SystemExit too.
            reason = error
    said = plain_text(f"{type_name(reason)}: {_text(reason)}", 200)
    message = f"Your code cannot be checked apart from the notebook: {said}"
    return _uncopied(message)


def _uncopied(message: str) -> Apart:
    return Apart("raised", message=message, error_type="PicklingError", uncopied=True)


def _text(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:
        return ""


@contextlib.contextmanager
def _at_most(seconds: float) -> Any:
    """Throw _TooSlow into a block of Python code that takes longer."""
    thread, over, lock = threading.get_ident(), False, threading.Lock()

    def throw() -> None:
        with lock:
            if not over:
                raiser = ctypes.pythonapi.PyThreadState_SetAsyncExc
                raiser(ctypes.c_ulong(thread), ctypes.py_object(_TooSlow))

    timer = threading.Timer(seconds, throw)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()


class _Spawned:
    def __init__(self, student_files: tuple[str, ...], seconds: float, output_bytes: int):
        self.student_files = student_files
        self.seconds = seconds
        self.output_bytes = output_bytes
        self.printed = bytearray()
        self.flooded = threading.Event()

    def _read_output(self, descriptor: int) -> None:
        while True:
            try:
                chunk = os.read(descriptor, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.printed += chunk[: self.output_bytes + 1 - len(self.printed)]
            if len(self.printed) > self.output_bytes:
                self.flooded.set()
                return

    def run(self, folder: Path) -> Apart:
        environment = dict(
            os.environ, PYTHONPATH=os.pathsep.join(part for part in sys.path if part)
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "labs_lib.assessment.sandbox_child", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=os.name == "posix",
        )
        assert process.stdout is not None
        reader = threading.Thread(
            target=self._read_output, args=(process.stdout.fileno(),), daemon=True
        )
        reader.start()
        try:
            late, clock = self._wait(process, folder)
        finally:
            _kill(process)
        reader.join(timeout=1.0)
        process.stdout.close()
        return self._verdict(folder, late, clock, process.returncode)

    def _wait(self, process: subprocess.Popen[bytes], folder: Path) -> tuple[bool, Clock | None]:
        """Wait for an end of any kind; return whether time ran out, and the clock if it ran."""
        begun, clock = time.monotonic(), None
        while process.poll() is None and not self.flooded.is_set():
            if clock is None and (folder / "started").exists():
                clock = Clock(process.pid, self.seconds)
            if (folder / "report").exists():
                break
            if clock.is_late() if clock else time.monotonic() - begun > START_SECONDS:
                return True, clock
            self.flooded.wait(0.02)
        return False, clock

    def _verdict(self, folder: Path, late: bool, clock: Clock | None, code: int) -> Apart:
        printed = printed_text(self.printed)
        if self.flooded.is_set():
            limit = f"{self.output_bytes // 1000} kB"
            message = f"Your code printed more than {limit} and was stopped."
            return Apart("flooded", message=message, printed=printed[:400])
        line = _read_whole(folder / "report").partition(b"\n")[0]
        if late and not line:
            if clock is None:
                message = f"A new Python took more than {START_SECONDS:g} s to start; try again."
                return Apart("not started", message=message, printed=printed)
            message = f"Your code ran for more than {self.seconds:g} s and was stopped."
            return Apart("too long", message=message, printed=printed)
        reported = read_report(line, self.student_files, printed)
        if reported is not None:
            return reported
        message = f"Your code ended the process it ran in{exit_note(code)}."
        return Apart("exited", message=message, printed=printed)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read_whole(path: Path) -> bytes:
    """Return an ordinary file's bytes, up to one more than a report may have."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(RESULT_BYTES + 1)
    except OSError:
        return b""
